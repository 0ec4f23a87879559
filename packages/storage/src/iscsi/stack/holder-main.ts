import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import { chdir, cwd } from 'node:process';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { Answerer } from '../calls/answerer.ts';
import { CLAIM_SOCKET, showClaim } from './claim.ts';
import { FileHandlers } from './file-handlers.ts';
import { mountVolume } from './mounted-volume.ts';
import type { MountedVolume } from './mounted-volume.ts';
import { detachStaleLoops } from './stale-loops.ts';
import { volumeStart } from './volume-start.ts';

/*
 * The process that holds the file system of a LUN: it runs in a mount namespace of its own, in the folder of the stack
 * (its working directory), and does the hub's work on the files. What blocks on a dead target blocks here, and not in
 * the hub. When the hub goes away, however that happens, the end of the channel (descriptor 3) is the sign to unmount,
 * release the LUN and end.
 */
const folder = cwd();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

let volume: MountedVolume | undefined;
let isGoingDown = false;

const files = new FileHandlers(() => {
  if (volume !== undefined) return volume.root;
  throw new HoldfastError('backend_unavailable', 'The LUN is not mounted.');
});

async function start(params: unknown): Promise<null> {
  await detachStaleLoops(folder);
  volume = await mountVolume(folder, volumeStart.parse(params));
  if (volume.warning !== undefined) process.stderr.write(`${volume.warning}\n`);
  void volume.lost.then(lose);
  return null;
}

function lose(error: HoldfastError): void {
  if (isGoingDown) return;
  answerer.lose(error);
  void goDown();
}

/** An error of the disk makes the file system stop all writing; checked and mounted anew, it may be used again. */
async function onFailure(error: unknown): Promise<void> {
  const isSuspicious = isHoldfastError(error, 'read_only') || isHoldfastError(error, 'backend_unavailable');
  if (!isSuspicious || volume === undefined || !(await volume.hasFailed())) return;
  const text =
    'The file system of the LUN has stopped after an error of its disk. It is checked and mounted again.';
  lose(new HoldfastError('backend_unavailable', text));
}

async function goDown(): Promise<void> {
  if (isGoingDown) return;
  isGoingDown = true;
  try {
    await answerer.drain();
    await files.closeAll();
    // Out of the mount, in case the working directory is ever moved below it.
    chdir('/');
    await volume?.unmount();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
  process.exit(0);
}

await rm(CLAIM_SOCKET, { force: true });
await showClaim(() => !isGoingDown);
const channel = new Socket({ fd: 3, readable: true, writable: true });
const answerer = new Answerer(channel, { ...files.handlers, start }, onFailure);
void answerer.closed.then(goDown);
