import type { RunningProcess } from './process.ts';

/**
 * Resolves when an HTTP server answers, whatever it says.
 * Throws with its log when its process ends, or the time (in milliseconds) is over, before.
 */
export async function httpAnswers(url: string, server: RunningProcess, timeoutMs: number): Promise<void> {
  const deadline = AbortSignal.timeout(timeoutMs);
  const ended = server.exited.then(({ code, signal }) => {
    throw new Error(`The server ended with ${signal ?? `status ${code}`}.\n${server.stderr()}`);
  });
  ended.catch(() => undefined);
  for (;;) {
    try {
      const answer = await Promise.race([fetch(url, { signal: deadline }), ended]);
      await answer.arrayBuffer();
      return;
    } catch (error) {
      if (deadline.aborted || !(error instanceof TypeError)) {
        throw new Error(`Nothing answers at ${url}.\n${server.stderr()}`, { cause: error });
      }
      // Nothing listens yet: this waits for a moment of the server, not for a time that must suffice.
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
  }
}
