import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import type { CommandContext } from '../context.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { humanBytes } from '../output/format.ts';
import { locationText } from '../paths/location.ts';
import type { CliOutput } from '@holdfast/contract/cli-output';

type Found = CliOutput<'find'>['files'][number];

/** Finds files by their SHA-256. */
export async function run(context: CommandContext): Promise<void> {
  const { output, hub } = context;
  const sha256 = await wanted(context);
  const client = await hub();
  const files: Found[] = [];
  for await (const { backend_name, backend_id, path, size } of client.all('findFiles', {
    query: { sha256, limit: 1000 },
  })) {
    files.push({
      path: locationText({ kind: 'backend', backend: backend_name ?? backend_id, path }),
      size,
      kind: 'backend',
    });
  }
  for await (const { hostname, filepath, file_size } of client.all('listHostFiles', {
    query: { sha256, limit: 1000 },
  })) {
    const path = locationText({ kind: 'hub', host: hostname, path: filepath });
    files.push({ path, size: file_size, kind: 'host_file' });
  }
  output.result('find', { sha256, files }, () => {
    output.table(
      [
        {
          title: 'Size',
          align: 'right',
          text: ({ size }) => humanBytes(size),
          plain: ({ size }) => String(size),
        },
        { title: 'Path', text: ({ path }) => path },
      ],
      files,
      'No file that you may read has these bytes.',
    );
  });
  if (files.length === 0) context.endWith(exitCodes.notFound);
}

async function wanted({ options, signal }: CommandContext): Promise<string> {
  const [sum, file] = [options.text('sha256'), options.text('like')];
  if ((sum === undefined) === (file === undefined)) throw new UsageError('Give either --sha256 or --like.');
  if (sum !== undefined) {
    if (/^[0-9a-f]{64}$/i.test(sum)) return sum.toLowerCase();
    throw new UsageError('--sha256 must be 64 hexadecimal digits.');
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(file ?? '', { highWaterMark: 1024 * 1024 }), hash, { signal });
  return hash.digest('hex');
}
