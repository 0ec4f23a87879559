import { ROOT } from '@holdfast/bytes/backend-path';
import { fileSystemError, throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes } from 'node:crypto';
import { open, readFile, rm, unlink } from 'node:fs/promises';
import type { ProbeCheck, ProbeReport } from '../backend.ts';
import { listFolder } from './listing.ts';
import { StagingSlot } from './staging.ts';
import type { Volume } from './volume.ts';

const probeBytes = 4096;

/** Tries in order what a backend is for. After the first failure the rest is told as not tried. Never throws. */
export async function probeVolume(volume: Volume, signal?: AbortSignal): Promise<ProbeReport> {
  const started = performance.now();
  const checks: ProbeCheck[] = [];
  const attempt = async (name: string, passed: string, run: () => Promise<void>): Promise<void> => {
    if (checks.some((check) => !check.ok)) {
      checks.push({ name, ok: false, message: 'Not tried, because an earlier check failed.' });
      return;
    }
    try {
      throwIfCancelled(signal, 'The check');
      await run();
      checks.push({ name, ok: true, message: passed });
    } catch (error) {
      checks.push({ name, ok: false, message: fileSystemError(error, `The check "${name}"`).message });
    }
  };

  await attempt('root', `${volume.root} is a folder that can be opened.`, async () => {
    await (await volume.openRoot())[Symbol.asyncDispose]();
  });
  await attempt('volume', 'The marker file is the one of this backend.', async () => {
    await (await volume.enter())[Symbol.asyncDispose]();
  });
  await attempt('list', 'The root can be listed.', async () => {
    await listFolder(volume, ROOT, { limit: 1 });
  });
  await probeBytesRoundTrip(volume, attempt);
  return { ok: checks.every((check) => check.ok), checks, latencyMs: performance.now() - started };
}

async function probeBytesRoundTrip(
  volume: Volume,
  attempt: (name: string, passed: string, run: () => Promise<void>) => Promise<void>,
): Promise<void> {
  using slot = new StagingSlot(volume.ownerId);
  const bytes = randomBytes(probeBytes);
  const inStaging = async (action: (path: string) => Promise<void>): Promise<void> => {
    await using root = await volume.enter();
    await using staging = await volume.openStaging(root);
    await action(staging.child(slot.tempName));
  };
  let wasWritten = false;
  await attempt('write', `${probeBytes} bytes were written and made durable.`, () =>
    inStaging(async (path) => {
      await using handle = await open(path, 'wx', 0o600);
      wasWritten = true;
      await handle.writeFile(bytes);
      await handle.sync();
    }),
  );
  await attempt('read', 'The same bytes came back.', () =>
    inStaging(async (path) => {
      if (bytes.equals(await readFile(path))) return;
      throw new HoldfastError(
        'checksum_mismatch',
        'Other bytes came back than were written. Check the disk.',
      );
    }),
  );
  await attempt('remove', 'The file of the check was removed.', () => inStaging((path) => unlink(path)));
  // Not part of the report: what is left after a failed check goes with the next sweep.
  if (wasWritten) await inStaging((path) => rm(path, { force: true })).catch(() => undefined);
}
