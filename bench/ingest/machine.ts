import path from 'node:path';
import { runProcess } from '@holdfast/test-support/process';
import type { Contender, Outcome } from './contender.ts';

const options = { timeoutMs: 600_000 };

/** The machine's own limit: a copy that is made durable, and beside it the sums of the same bytes. */
export const machine: Contender = {
  name: "the machine's limit",
  large: ({ large }, folder) => {
    const to = path.join(folder, 'large.bin');
    const copy = ['dd', `if=${large.file}`, `of=${to}`, 'bs=8M', 'conv=fsync', 'status=none'];
    return together(copy, ['sha256sum', large.file]);
  },
  small: (source, folder) =>
    together(
      [
        'sh',
        '-c',
        'cp -r "$1" "$2" && sync --file-system "$2"',
        'sh',
        source.folder,
        path.join(folder, 'to'),
      ],
      ['find', source.folder, '-type', 'f', '-exec', 'sha256sum', '{}', '+'],
    ),
};

async function together(...commands: readonly (readonly string[])[]): Promise<Outcome> {
  const startedAt = performance.now();
  await Promise.all(commands.map(([command = '', ...args]) => runProcess(command, args, options)));
  return { seconds: (performance.now() - startedAt) / 1000 };
}
