import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { counted } from '../output/format.ts';
import { forEach } from './each.ts';

/** Gives uploads up; what has arrived of them is removed. */
export async function run(context: CommandContext): Promise<void> {
  const { args, hub, output, signal } = context;
  const client = await hub();
  if (args.length > 1) await confirm(context, `Give up ${args.length} uploads and remove what has arrived?`);
  const { done, failed } = await forEach(
    context,
    args,
    (id) => id,
    async (id) => {
      await client.call('abortUpload', { params: { upload_id: id }, signal });
    },
  );
  output.result('uploadsAbort', { aborted: done, failed }, () => {
    if (done.length > 0) output.note(`gave up ${counted(done.length, 'upload')}`);
  });
}
