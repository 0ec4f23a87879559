import { startProcess } from '@holdfast/test-support/process';
import type { RunningProcess } from '@holdfast/test-support/process';
import { z } from 'zod';
import type { StagedUploadKey } from '../../contents.ts';
import type { S3BackendOptions } from '../../s3.ts';

/** An upload that a process of its own makes, of the bytes of `RandomContent`. Sizes in bytes. */
export interface ProcessUpload {
  backend: S3BackendOptions;
  id: string;
  size: number;
  chunkSize: number;
  /** Chunks that are on their way at a time. */
  parallel: number;
}

const begun = z.record(z.string(), z.json());
const acknowledged = z.object({ position: z.number(), bytes: z.number(), receipt: z.string().optional() });
const timeoutMs = 100_000;

async function start(upload: ProcessUpload): Promise<RunningProcess> {
  const program = new URL('./upload-process-main.ts', import.meta.url).pathname;
  return startProcess(process.execPath, [program], { input: JSON.stringify(upload) });
}

/** Makes an upload to its end. @returns by how many bytes the resident memory of its process has grown at most */
export async function memoryOfUpload(upload: ProcessUpload): Promise<number> {
  await using running = await start(upload);
  const [, growth] = await running.waitForOutput(/^growth (\d+)$/m, { timeoutMs });
  return Number(growth);
}

/** Kills the process of an upload (SIGKILL) when it has told of some pieces. @returns what it had told by then */
export async function killedUpload(
  upload: ProcessUpload,
  pieces: number,
): Promise<{ key: StagedUploadKey; acknowledged: z.output<typeof acknowledged>[] }> {
  await using running = await start(upload);
  await running.waitForOutput(new RegExp(`^piece {"number":${pieces},`, 'm'), { timeoutMs });
  running.kill('SIGKILL');
  await running.exited;
  const lines = running.stdout().split('\n').slice(0, -1);
  const told = (word: string): unknown[] =>
    lines.flatMap((line) => {
      if (!line.startsWith(word)) return [];
      const value: unknown = JSON.parse(line.slice(word.length));
      return [value];
    });
  const { id, size, chunkSize } = upload;
  return {
    key: { id, size, chunkSize, state: begun.parse(told('begun ')[0]) },
    acknowledged: told('piece ').map((piece) => acknowledged.parse(piece)),
  };
}
