import { uploadStatus } from '@holdfast/contract/uploads';
import type { Upload } from '@holdfast/contract/uploads';
import type { CommandContext } from '../context.ts';
import { humanBytes, localTime } from '../output/format.ts';
import type { Column } from '../output/table.ts';
import { checked } from './field-values.ts';

const columns: Column<Upload>[] = [
  { title: 'Upload', text: ({ upload_id }) => upload_id },
  { title: 'State', text: ({ status }) => status },
  {
    title: 'Arrived',
    align: 'right',
    text: ({ received_bytes }) => humanBytes(received_bytes),
    plain: ({ received_bytes }) => String(received_bytes),
  },
  {
    title: 'Size',
    align: 'right',
    text: ({ file_size }) => (file_size === null ? '-' : humanBytes(file_size)),
    plain: ({ file_size }) => String(file_size ?? '-'),
  },
  {
    title: 'Expires',
    text: ({ expires_at }) => localTime(expires_at),
    plain: ({ expires_at }) => expires_at,
  },
  { title: 'Key', text: ({ actor }) => actor ?? '-' },
  { title: 'File', text: uploadTarget, canShrink: true },
];

/** Lists upload sessions, the newest first. */
export async function run({ hub, options, output, signal }: CommandContext): Promise<void> {
  const state = options.text('status');
  const status = state === undefined ? {} : { status: checked(uploadStatus, state, '--status') };
  const client = await hub();
  const uploads: Upload[] = [];
  const query = { limit: 1000, ...status };
  for await (const upload of client.all('listUploads', { query, signal })) uploads.push(upload);
  output.result('uploadsList', { uploads }, () => {
    output.table(columns, uploads, 'There are no uploads. "holdfast put FILE" makes one.');
  });
}

/** Where an upload will end. */
export function uploadTarget({ hostname, filepath, destination_path, backend_id }: Upload): string {
  return destination_path === null
    ? `hub:/${hostname ?? ''}${filepath?.startsWith('/') === true ? '' : '/'}${filepath ?? ''}`
    : `${backend_id}:${destination_path}`;
}
