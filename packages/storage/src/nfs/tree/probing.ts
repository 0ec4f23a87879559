import { ROOT } from '@holdfast/bytes/backend-path';
import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import { HoldfastError } from '@holdfast/contract/errors';
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import type { ProbeCheck, ProbeReport } from '../../backend.ts';
import { StagingSlot } from '../../local/staging.ts';
import { ignoreStatus, nfsError } from '../failure.ts';
import { nfsStatus } from '../status.ts';
import { unlessCancelled } from './cancelling.ts';
import { listFolder } from './listing.ts';
import type { EnteredShare, Share } from './share.ts';
import { readSmallFile } from './small-file.ts';

const probeBytes = 4096;

type Attempt = (name: string, passed: () => string, run: () => Promise<unknown>) => Promise<void>;

/** Tries in order what a share is for. After the first failure the rest is told as not tried. Never throws. */
export async function probeShare(share: Share, signal?: AbortSignal): Promise<ProbeReport> {
  const started = performance.now();
  const checks: ProbeCheck[] = [];
  const attempt: Attempt = async (name, passed, run) => {
    if (checks.some((check) => !check.ok)) {
      checks.push({ name, ok: false, message: 'Not tried, because an earlier check failed.' });
      return;
    }
    try {
      throwIfCancelled(signal, 'The check');
      await unlessCancelled(signal, 'The check', run);
      checks.push({ name, ok: true, message: passed() });
    } catch (error) {
      checks.push({ name, ok: false, message: nfsError(error, `The check "${name}"`).message });
    }
  };
  await probeServer(share, attempt);
  await attempt(
    'volume',
    () => 'The marker file is the one of this backend.',
    () => share.enter(),
  );
  await attempt(
    'list',
    () => 'The share can be listed.',
    () => listFolder(share, ROOT, { limit: 1 }),
  );
  await probeBytesRoundTrip(share, attempt);
  return { ok: checks.every((check) => check.ok), checks, latencyMs: performance.now() - started };
}

async function probeServer(share: Share, attempt: Attempt): Promise<void> {
  const { server, port, exportPath } = share.connector.options;
  let address = '';
  let version = '';
  await attempt(
    'resolve',
    () => `${server} is ${address}.`,
    async () => {
      address = (await resolveServer(server)).address;
    },
  );
  await attempt(
    'connect',
    () => `Port ${port} takes connections.`,
    () => share.connector.connect(),
  );
  await attempt(
    'authenticate',
    () => `The server takes AUTH_SYS and speaks NFSv${version}.`,
    async () => {
      ({ version } = await share.connector.fileSystem());
    },
  );
  await attempt(
    'export',
    () => `The server exports ${exportPath} to this machine.`,
    async () => {
      const { fs, root } = await share.open();
      await fs.attributes(root);
    },
  );
}

/** @throws HoldfastError `backend_unavailable` when the name is not known */
async function resolveServer(server: string): Promise<{ address: string }> {
  return lookup(server).catch((error: unknown) => {
    const text = `The name ${server} cannot be looked up. Check config.server and the name server of this machine.`;
    throw new HoldfastError('backend_unavailable', text, { cause: error });
  });
}

async function probeBytesRoundTrip(share: Share, attempt: Attempt): Promise<void> {
  using slot = new StagingSlot(share.ownerId);
  const bytes = randomBytes(probeBytes);
  const inStaging = async (
    action: (entered: EnteredShare, staging: Buffer) => Promise<void>,
  ): Promise<void> => {
    const entered = await share.enter();
    await action(entered, await share.openStaging(entered));
  };
  let wasWritten = false;
  await attempt(
    'write',
    () => `${probeBytes} bytes were written and made durable.`,
    () =>
      inStaging(async ({ fs }, staging) => {
        await using file = await fs.create(staging, slot.tempName);
        wasWritten = true;
        const { written } = await file.write(0, bytes);
        if (written < bytes.byteLength) await file.write(written, bytes.subarray(written));
        await file.commit();
      }),
  );
  await attempt(
    'read',
    () => 'The same bytes came back.',
    () =>
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
  await attempt(
    'remove',
    () => 'The file of the check was removed.',
    () =>
      inStaging(async ({ fs }, staging) => {
        await fs.remove(staging, slot.tempName, 'file');
        wasWritten = false;
      }),
  );
  if (!wasWritten || !share.connector.isConnected) return;
  // Not part of the report: what is left after a failed check goes with the next sweep.
  await inStaging(async ({ fs }, staging) => {
    await fs.remove(staging, slot.tempName, 'file').catch(ignoreStatus(nfsStatus.NOENT));
  }).catch(() => undefined);
}
