import type { CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { printable } from '../output/format.ts';
import { nodeNamed } from './named-node.ts';

/** Shows what a machine would get; ends with 1 when it would not boot. */
export async function run(context: CommandContext): Promise<void> {
  const { args, endWith, hub, options, output, signal } = context;
  const client = await hub();
  const { id, mac } = await nodeNamed(client, args[0] ?? '', signal);
  const preview = await client.call('previewNode', { params: { id }, signal });
  output.result('bootPreview', { id, mac, ...preview }, () => {
    output.line((options.text('format') === 'grub' ? preview.grub : preview.ipxe).trimEnd());
  });
  const problems = [
    ...preview.problems,
    ...preview.files.flatMap(({ path, problem }) => (problem === null ? [] : [`${path}: ${problem}`])),
  ];
  if (output.mode !== 'json') for (const problem of problems) output.warn(printable(problem));
  if (problems.length > 0) endWith(exitCodes.failure);
}
