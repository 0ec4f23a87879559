import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { ProbeReport } from '../../backend.ts';
import { CheckList } from '../../probing/check-list.ts';
import type { Attempt } from '../../probing/check-list.ts';
import { StagingSlot } from '../../volume/staging-slot.ts';
import { ignoreStatus, nfsError } from '../failure.ts';
import { nfsStatus } from '../status.ts';
import type { EnteredShare, Share } from './share.ts';
import { readSmallFile } from './small-file.ts';

const probeBytes = 4096;

/** Tries in order what a share is for. After the first failure the rest is told as not tried. Never throws. */
export async function probeShare(share: Share, signal?: AbortSignal): Promise<ProbeReport> {
  const describe = (error: unknown, doing: string): string => nfsError(error, doing).message;
  const list = new CheckList(signal, { describe, letsGo: true });
  const { attempt } = list;
  await probeServer(share, attempt);
  await attempt('volume', 'The marker file is the one of this backend.', () => share.enter());
  await attempt('list', 'The share can be listed.', async () => {
    const { fs, root } = await share.open();
    // One page will do: the checks run every minute, and the root may have a million names.
    await fs.readFolder(root)[Symbol.asyncIterator]().next();
  });
  await probeBytesRoundTrip(share, list);
  return list.report();
}

async function probeServer(share: Share, attempt: Attempt): Promise<void> {
  const { server, port, exportPath } = share.connector.options;
  await attempt(
    'resolve',
    ({ address }: { address: string }) => `${server} is ${address}.`,
    () => resolveServer(server),
  );
  await attempt('connect', `Port ${port} takes connections.`, () => share.connector.connect());
  await attempt(
    'authenticate',
    ({ version }: { version: string }) => `The server takes AUTH_SYS and speaks NFSv${version}.`,
    () => share.connector.fileSystem(),
  );
  await attempt('export', `The server exports ${exportPath} to this machine.`, async () => {
    const { fs, root } = await share.open();
    await fs.attributes(root);
  });
}

/** @throws HoldfastError `backend_unavailable` when the name is not known */
async function resolveServer(server: string): Promise<{ address: string }> {
  return lookup(server).catch((error: unknown) => {
    const text = `The name ${server} cannot be looked up. Check config.server and the name server of this machine.`;
    throw new HoldfastError('backend_unavailable', text, { cause: error });
  });
}

async function probeBytesRoundTrip(share: Share, list: CheckList): Promise<void> {
  const { attempt } = list;
  using slot = new StagingSlot(share.ownerId);
  const bytes = randomBytes(probeBytes);
  const inStaging = async (
    action: (entered: EnteredShare, staging: Buffer) => Promise<void>,
  ): Promise<void> => {
    const entered = await share.enter();
    await action(entered, await share.openStaging(entered));
  };
  let wasWritten = false;
  await attempt('write', `${probeBytes} bytes were written and made durable.`, () =>
    inStaging(async ({ fs }, staging) => {
      await using file = await fs.create(staging, slot.tempName);
      wasWritten = true;
      const { written } = await file.write(0, bytes);
      if (written < bytes.byteLength) await file.write(written, bytes.subarray(written));
      await file.commit();
    }),
  );
  await attempt('read', 'The same bytes came back.', () =>
    inStaging(async ({ fs }, staging) => {
      const [node] = await fs.walk(staging, [slot.tempName]);
      const got = node === undefined ? undefined : await readSmallFile(fs, node.handle, probeBytes);
      if (got?.equals(bytes) === true) return;
      throw new HoldfastError(
        'checksum_mismatch',
        'Other bytes came back than were written. Check the disk of the server, and the network.',
      );
    }),
  );
  await attempt('remove', 'The file of the check was removed.', () =>
    inStaging(async ({ fs }, staging) => {
      await fs.remove(staging, slot.tempName, 'file');
      wasWritten = false;
    }),
  );
  if (!wasWritten || !share.connector.isConnected) return;
  await list.cleanUp(() =>
    inStaging(async ({ fs }, staging) => {
      await fs.remove(staging, slot.tempName, 'file').catch(ignoreStatus(nfsStatus.NOENT));
    }),
  );
}
