import { peakMemory, resetPeakMemory } from '@holdfast/test-support/rss';
import { RandomContent } from '@holdfast/test-support/random-file';
import { writeSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { mapBounded } from '../../concurrency/bounded.ts';
import { createS3Backend } from '../../s3.ts';

const wanted = z.object({
  backend: z.object({
    endpoint: z.string(),
    bucket: z.string(),
    access_key_id: z.string(),
    secret_access_key: z.string(),
    path_style: z.boolean(),
    volumeId: z.string(),
    ownerId: z.string(),
    spoolDir: z.string(),
  }),
  id: z.string(),
  size: z.number(),
  chunkSize: z.number(),
  parallel: z.number(),
});

function tell(word: string, value: unknown): void {
  writeSync(1, `${word} ${JSON.stringify(value)}\n`);
}

const { backend: options, parallel, ...upload } = wanted.parse(JSON.parse(await text(process.stdin)));
await using backend = createS3Backend(options);
const { contents } = backend;
if (contents === undefined) throw new Error('The backend has no contents.');
const { id, size, chunkSize } = upload;
const content = new RandomContent(id, size);
const sha256 = content.sha256();
// The client library is loaded with the first request: that is no memory of an upload.
const state = await contents.staging.create(upload);
tell('begun', state);
await using staged = await contents.staging.resume({ ...upload, state });
await resetPeakMemory(process.pid);
const before = await peakMemory(process.pid);
const starts = Array.from({ length: Math.ceil(size / chunkSize) }, (_, index) => index * chunkSize);
let number = 0;
const pieces = await mapBounded(starts, parallel, async (position) => {
  const source = content.stream(position, Math.min(position + chunkSize, size));
  const { bytes, receipt } = await staged.receive(position, source, {});
  number += 1;
  tell('piece', { number, position, bytes, receipt });
  return { position, bytes, receipt: receipt ?? null };
});
const sealed = await staged.seal(size, pieces);
if (sealed.sha256 !== sha256) throw new Error('Other bytes came to be sealed than were sent.');
tell('growth', (await peakMemory(process.pid)) - before);
