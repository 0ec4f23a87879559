import type { HoldfastError } from '@holdfast/contract/errors';
import { watch } from 'node:fs';
import { access, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { fromWireError } from '../wire-error.ts';
import type { BlockSource } from './block-source.ts';
import { endedEarly, startChild } from './child.ts';
import type { Child } from './child.ts';
import { exporterEvent } from './exporter-messages.ts';
import type { ExporterEvent, ExporterStart } from './exporter-messages.ts';
import { linesOf, sendLine } from './json-lines.ts';
import { loopFileName } from './stale-loops.ts';
import { runTool } from './tool.ts';

const exporterProgram = fileURLToPath(new URL('exporter-main.ts', import.meta.url));
/** Relative to the folder of the stack: a path of a socket has room for 107 bytes only (unix(7)). */
const socketName = 'nbd.sock';
const fuseFolder = 'nb';
const pidFile = 'nbdfuse.pid';
/** Several reads of the network on their way at once; the default of 128 is made for disks. */
const readAheadKib = 8192;

type Ready = Extract<ExporterEvent, { event: 'ready' }>;

/**
 * Attaches a LUN without iSCSI in the kernel: our initiator behind an NBD socket → nbdfuse → a loop device with direct
 * I/O. To be called in a mount namespace of its own, with `folder` as the working directory of the programs.
 */
export async function attachDirect(
  folder: string,
  connection: Omit<ExporterStart, 'socketPath'>,
): Promise<BlockSource> {
  await using cleanUp = new AsyncDisposableStack();
  const fuseFile = join(fuseFolder, loopFileName(folder));
  for (const name of [socketName, pidFile]) await rm(join(folder, name), { force: true });
  await mkdir(join(folder, fuseFolder), { recursive: true });

  const exporter = await startChild('node', ['--no-warnings', exporterProgram], { cwd: folder });
  const channel = channelOf(exporter);
  cleanUp.defer(async () => {
    channel.end();
    await exporter.exited;
  });
  const lost = Promise.withResolvers<HoldfastError>();
  const ready = await startExporter(
    exporter,
    channel,
    { ...connection, socketPath: socketName },
    lost.resolve,
  );

  const fuse = await startFuse(folder, fuseFile);
  cleanUp.defer(async () => {
    await runTool('fusermount3', ['-u', '-z', fuseFolder], { cwd: folder }).catch(() =>
      fuse.process.kill('SIGKILL'),
    );
    await fuse.exited;
  });
  void fuse.exited.then((how) => lost.resolve(endedEarly('nbdfuse', how, fuse.said())));

  const device = await attachLoop(folder, fuseFile, ready);
  let isAttached = true;
  const detachLoop = async (): Promise<void> => {
    if (isAttached) await runTool('losetup', ['-d', device]);
    isAttached = false;
  };
  cleanUp.defer(detachLoop);
  const owned = cleanUp.move();
  return {
    device,
    // Writes of 4 KiB through the loop device are 16,000 round trips for a journal; through the page cache of the file, few.
    formatPath: join(folder, fuseFile),
    sizeBytes: ready.sizeBytes,
    isWriteProtected: ready.isWriteProtected,
    signatures: ready.signatures,
    warning: ready.hasDataDigest
      ? undefined
      : 'The iSCSI target uses no digests (HeaderDigest, DataDigest). Every write is read back and compared instead, ' +
        'which is slower; switch CRC32C on at the target.',
    lost: lost.promise,
    // Detaching a device in use takes effect when its last user goes: with the mount.
    release: detachLoop,
    detach: async (check) => {
      await using _rest = owned;
      await check(join(folder, fuseFile));
    },
  };
}

function channelOf(child: Child): Duplex {
  const channel = child.process.stdio[3];
  if (!(channel instanceof Socket)) throw new Error('The child was started without a channel.');
  channel.on('error', () => {});
  return channel;
}

async function startExporter(
  exporter: Child,
  channel: Duplex,
  start: ExporterStart,
  onLost: (error: HoldfastError) => void,
): Promise<Ready> {
  const ready = Promise.withResolvers<Ready>();
  void exporter.exited.then((how) => {
    const error = endedEarly('The iSCSI initiator', how, exporter.said());
    ready.reject(error);
    onLost(error);
  });
  void (async () => {
    for await (const event of linesOf(channel, exporterEvent)) {
      if (event.event === 'ready') ready.resolve(event);
      else if (event.event === 'failed') ready.reject(fromWireError(event.error));
      else onLost(fromWireError(event.error));
    }
  })().catch((error: unknown) => ready.reject(error));
  sendLine(channel, start);
  return ready.promise;
}

/** Starts nbdfuse and waits until its file is there: it writes its pid file then (nbdfuse(1)). */
async function startFuse(folder: string, fuseFile: string): Promise<Child> {
  const appeared = Promise.withResolvers<void>();
  const watcher = watch(folder, () => {
    void access(join(folder, pidFile)).then(
      () => appeared.resolve(),
      () => undefined,
    );
  });
  try {
    const fuse = await startChild('nbdfuse', ['-P', pidFile, fuseFile, '--unix', socketName], {
      cwd: folder,
    });
    const early = fuse.exited.then((how) => {
      throw endedEarly('nbdfuse', how, fuse.said());
    });
    await Promise.race([appeared.promise, early]);
    early.catch(() => undefined);
    return fuse;
  } finally {
    watcher.close();
  }
}

async function attachLoop(
  folder: string,
  fuseFile: string,
  { blockBytes, isWriteProtected }: Ready,
): Promise<string> {
  const sector = Math.min(Math.max(blockBytes, 512), 4096);
  const protection = isWriteProtected ? ['--read-only'] : [];
  // Direct I/O: the page cache of the file system above is enough, and a flush reaches the target.
  const args = [
    '--find',
    '--show',
    '--direct-io=on',
    '--sector-size',
    String(sector),
    ...protection,
    fuseFile,
  ];
  const { stdout } = await runTool('losetup', args, { cwd: folder });
  const device = stdout.trim();
  await writeFile(`/sys/block/${basename(device)}/queue/read_ahead_kb`, String(readAheadKib));
  return device;
}
