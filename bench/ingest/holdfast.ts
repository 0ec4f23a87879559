import { readFileSync } from 'node:fs';
import { encodeBatchHeader } from '@holdfast/bytes/batch-framing';
import { startHub } from '@holdfast/test-support/hub';
import { HubUploads } from '@holdfast/test-support/hub-uploads';
import { type Contender, measured, type Outcome } from './contender.ts';
import { CHUNK_BYTES, PARALLEL, readChunks, shareOut, type SmallFile, type Source } from './source.ts';

const FILES_A_BATCH = 500;

/** The hub: a session of chunks, four of them in flight; batches of small files, four of them in flight. */
export const holdfast: Contender = {
  name: 'holdfast',
  large: ({ large }, folder) =>
    withHub(folder, async (uploads) => {
      const { bytes: size, sha256 } = large;
      const id = await uploads.begin({ filepath: '/large.bin', size, chunkSize: CHUNK_BYTES, sha256 });
      await readChunks(large, PARALLEL, async (chunk, num) => {
        await uploads.sendChunk(id, num, [chunk]);
      });
      const completed = await uploads.complete(id);
      if (completed.sha256 !== sha256) throw new Error('the hub has other bytes');
    }),
  small: ({ small }: Source, folder) =>
    withHub(folder, async (uploads) => {
      const batches: SmallFile[][] = [];
      for (let at = 0; at < small.length; at += FILES_A_BATCH)
        batches.push(small.slice(at, at + FILES_A_BATCH));
      await shareOut(batches, PARALLEL, async (batch) => {
        const { files } = await uploads.sendBatch(await framed(batch));
        const stored = files.filter(({ status }) => status === 'stored').length;
        if (stored !== batch.length) throw new Error(`only ${stored} of ${batch.length} files were stored`);
      });
    }),
};

async function framed(batch: readonly SmallFile[]): Promise<Buffer[]> {
  const frames: Buffer[] = [];
  for (const { name, file, bytes: size, sha256 } of batch) {
    const header = { filepath: `/${name}`, hostname: 'uploader', sha256, size };
    frames.push(encodeBatchHeader(header), readFileSync(file));
  }
  return [Buffer.concat(frames)];
}

async function withHub(folder: string, work: (uploads: HubUploads) => Promise<void>): Promise<Outcome> {
  await using hub = await startHub({ dataDir: folder, env: { HOLDFAST_LOG_LEVEL: 'warn' } });
  using uploads = new HubUploads(hub, PARALLEL);
  const outcome = await measured(hub.pid, () => work(uploads));
  await hub.kill('SIGTERM');
  return outcome;
}
