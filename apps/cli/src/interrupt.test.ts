import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startProcess } from '@holdfast/test-support/process';

const program = `
  import { Interrupt } from ${JSON.stringify(join(import.meta.dirname, 'interrupt.ts'))};
  const interrupt = new Interrupt();
  interrupt.signal.addEventListener('abort', () => console.log('asked to stop'));
  setInterval(() => {}, 60_000);
  console.log('busy');
`;

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  'the first %s asks a command to stop, the second one ends it at once',
  async (signal) => {
    await using busy = await startProcess(process.execPath, ['--input-type=module', '--eval', program]);
    await busy.waitForOutput(/busy/, { timeoutMs: 20_000 });
    busy.kill(signal);
    await busy.waitForOutput(/asked to stop/, { timeoutMs: 20_000 });
    busy.kill(signal);
    expect(await busy.exited).toEqual({ code: 130, signal: null });
  },
);
