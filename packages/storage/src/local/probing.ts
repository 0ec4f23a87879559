import { fileSystemError } from '@holdfast/bytes/file-system-error';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes } from 'node:crypto';
import { open, opendir, readFile, rm, unlink } from 'node:fs/promises';
import type { ProbeReport } from '../backend.ts';
import { CheckList } from '../probing/check-list.ts';
import { StagingSlot } from '../volume/staging-slot.ts';
import type { Volume } from './volume.ts';

const probeBytes = 4096;

/** Tries in order what a backend is for. After the first failure the rest is told as not tried. Never throws. */
export async function probeVolume(volume: Volume, signal?: AbortSignal): Promise<ProbeReport> {
  const list = new CheckList(signal, { describe: (error, doing) => fileSystemError(error, doing).message });
  const { attempt } = list;
  await attempt('root', `${volume.root} is a folder that can be opened.`, async () => {
    await (await volume.openRoot())[Symbol.asyncDispose]();
  });
  await attempt('volume', 'The marker file is the one of this backend.', async () => {
    await (await volume.enter())[Symbol.asyncDispose]();
  });
  await attempt('list', 'The root can be listed.', async () => {
    // One name will do: the checks run every minute, and the root may have a million.
    await using root = await volume.enter();
    await using folder = await opendir(root.path);
    await folder.read();
  });
  await probeBytesRoundTrip(volume, list);
  return list.report();
}

async function probeBytesRoundTrip(volume: Volume, list: CheckList): Promise<void> {
  const { attempt } = list;
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
  await attempt('remove', 'The file of the check was removed.', () =>
    inStaging(async (path) => {
      await unlink(path);
      wasWritten = false;
    }),
  );
  if (wasWritten) await list.cleanUp(() => inStaging((path) => rm(path, { force: true })));
}
