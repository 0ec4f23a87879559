import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { HubClient } from '@holdfast/client/client';
import { uploadFile } from '@holdfast/client/node/upload-file';
import { HoldfastError } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { Progress } from '../output/progress.ts';
import { locationText } from '../paths/location.ts';
import type { RemoteLocation } from '../paths/location.ts';
import type { Remote } from '../paths/remote.ts';
import type { LocalFile } from './local-files.ts';
import type { TransferredFile } from './report.ts';

/** Files below this size go to a backend in one request. */
const SINGLE_REQUEST_BYTES = 8 * 1024 * 1024;

export interface Sending {
  context: CommandContext;
  client: HubClient;
  remote: Remote;
  overwrite: boolean;
}

type Sent = Omit<TransferredFile, 'error'>;

/** Sends one file to its place: in chunks with a bar, small ones to a backend in one request. Goes on with an earlier try. */
export async function sendFile(sending: Sending, file: LocalFile, to: RemoteLocation): Promise<Sent> {
  const { client, remote, context, overwrite } = sending;
  const names = { source: file.path, destination: locationText(to) };
  if (to.kind === 'backend' && file.size < SINGLE_REQUEST_BYTES) return await sendWhole(sending, file, to);
  using progress = new Progress(context.output);
  const result = await uploadFile(client, file.path, {
    to: await uploadDestination(remote, to, overwrite),
    stateDir: context.stateDir,
    signal: context.signal,
    onProgress: ({ phase, ...state }) => {
      progress.update({ label: file.relative, ...state, ...(phase === 'sending' ? {} : { phase }) });
    },
    onWaiting: ({ error, retryInMs }) => {
      progress.say(`${error.message} Trying again in ${Math.ceil(retryInMs / 1000)} s.`);
    },
  });
  return {
    ...names,
    bytes: result.file_size,
    sha256: result.sha256,
    status: result.deduplicated ? 'deduplicated' : 'stored',
    verified: true,
  };
}

/** A place on the hub's side as an upload names it. */
export async function uploadDestination(remote: Remote, to: RemoteLocation, overwrite: boolean) {
  if (to.kind === 'hub') return { hostname: to.host, filepath: to.path };
  return { destination_path: to.path, backend_id: await remote.backendId(to.backend), overwrite };
}

async function sendWhole(
  { client, remote, overwrite }: Sending,
  file: LocalFile,
  to: RemoteLocation & { kind: 'backend' },
): Promise<Sent> {
  const body = await wholeFile(file);
  const sha256 = createHash('sha256').update(body).digest('hex');
  const stored = await client.call('uploadFile', {
    params: { id: await remote.backendId(to.backend) },
    query: { path: to.path },
    headers: { 'x-expected-checksum-sha256': sha256, ...(overwrite ? {} : { 'if-none-match': '*' }) },
    body: () => body,
  });
  const names = { source: file.path, destination: locationText(to) };
  return {
    ...names,
    bytes: stored.size,
    sha256,
    status: 'stored',
    verified: stored.checksum_sha256 === sha256,
  };
}

/** The bytes of a small file. @throws HoldfastError `conflict` when its size has changed meanwhile */
export async function wholeFile(file: LocalFile): Promise<Buffer<ArrayBuffer>> {
  await using handle = await open(file.path, 'r');
  const bytes = Buffer.alloc(file.size);
  let read = 0;
  while (read < bytes.length) {
    const { bytesRead } = await handle.read(bytes, read, bytes.length - read, read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  if (read === file.size && (await handle.stat()).size === file.size) return bytes;
  throw new HoldfastError(
    'conflict',
    `${file.path} changed while it was read. Send it again when nobody writes to it.`,
  );
}
