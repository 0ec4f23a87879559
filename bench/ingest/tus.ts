import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connections } from '@holdfast/test-support/connections';
import { runProcess, startProcess } from '@holdfast/test-support/process';
import { type Contender, measured, type Outcome } from './contender.ts';
import { PARALLEL, readAhead, shareOut } from './source.ts';

const program = fileURLToPath(new URL('./tus-server.ts', import.meta.url));
const patch = { 'content-type': 'application/offset+octet-stream', 'tus-resumable': '1.0.0' };

/**
 * @tus/server with its file store. The bytes of one upload come one after the other there: PATCHes of 8 MiB, the next one
 * read while one is sent. A small file is one POST with its bytes. Nothing is verified by it, so sha256sum does that afterwards.
 */
export const tus: Contender = {
  name: '@tus/server',
  large: ({ large }, folder) =>
    withServer(folder, async (connections) => {
      const location = await create(connections, large.bytes, []);
      let offset = 0;
      for await (const chunk of readAhead(large)) {
        const headers = { ...patch, 'upload-offset': offset };
        await connections.call('PATCH', location, { headers, body: [chunk], expect: 204 });
        offset += chunk.byteLength;
      }
      await requireSum(path.join(folder, path.basename(location)), large.sha256);
    }),
  small: ({ small }, folder) =>
    withServer(folder, async (connections) => {
      await shareOut(small, PARALLEL, async ({ file, bytes }) => {
        await create(connections, bytes, [readFileSync(file)]);
      });
      const sums = ['.', '-type', 'f', '!', '-name', '*.json', '-exec', 'sha256sum', '{}', '+'];
      const { stdout } = await runProcess('find', sums, { cwd: folder, timeoutMs: 600_000 });
      const found = new Set(stdout.split('\n').map((line) => line.slice(0, 64)));
      const lost = small.filter(({ sha256 }) => !found.has(sha256)).length;
      if (lost > 0) throw new Error(`the server has ${lost} files less than were sent`);
    }),
};

/** Makes an upload, with its bytes when there are some; resolves to its path. */
async function create(connections: Connections, size: number, body: readonly Buffer[]): Promise<string> {
  const headers = { ...patch, 'upload-length': size };
  const answer = await connections.call('POST', '/files', { headers, body, expect: 201 });
  const { location } = answer.headers;
  if (location === undefined) throw new Error('the server did not say where the upload is');
  return location;
}

async function requireSum(file: string, sha256: string): Promise<void> {
  const { stdout } = await runProcess('sha256sum', [file], { timeoutMs: 600_000 });
  if (!stdout.startsWith(sha256)) throw new Error(`${file} has other bytes`);
}

async function withServer(folder: string, work: (client: Connections) => Promise<void>): Promise<Outcome> {
  await using server = await startProcess(process.execPath, [program, folder]);
  const [url] = await server.waitForOutput(/^http:.*$/m, { timeoutMs: 30_000 });
  using connections = new Connections(url, PARALLEL);
  return await measured(server.pid, () => work(connections));
}
