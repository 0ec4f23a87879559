import { Socket } from 'node:net';
import { detectSignatures, SIGNATURE_AREA_BYTES } from '../signature.ts';
import type { Signature } from '../signature.ts';
import { IscsiDisk } from '../initiator/disk.ts';
import { toWireError } from '../wire-error.ts';
import { exporterStart } from './exporter-messages.ts';
import type { ExporterEvent, ExporterStart } from './exporter-messages.ts';
import { linesOf, sendLine } from './json-lines.ts';
import { NbdServer } from './nbd-server.ts';

/*
 * A process of its own that puts a LUN behind an NBD socket. It touches no file system: whatever blocks on the mounted
 * LUN, and be it every thread of the process that uses it, this one goes on answering. It lives as long as its control
 * channel (descriptor 3) is open; at the end of that it flushes, releases the reservation and logs out.
 */
const channel = new Socket({ fd: 3, readable: true, writable: true });
channel.on('error', () => process.exit(1));

function tell(event: ExporterEvent): void {
  sendLine(channel, event);
}

async function openDisk(start: ExporterStart): Promise<IscsiDisk> {
  return IscsiDisk.open({
    ...start,
    fenceKey: Buffer.from(start.fenceKey, 'hex'),
    isid: Buffer.from(start.isid, 'hex'),
  });
}

async function signaturesOf(disk: IscsiDisk): Promise<Signature[]> {
  const length = Math.min(SIGNATURE_AREA_BYTES, disk.sizeBytes);
  const [first, last] = await Promise.all([disk.read(0, length), disk.read(disk.sizeBytes - length, length)]);
  return detectSignatures(first, last, disk.sizeBytes);
}

async function run(): Promise<void> {
  const lines = linesOf(channel, exporterStart);
  const first = await lines.next();
  if (first.done === true) return;
  const start = first.value;
  try {
    await using disk = await openDisk(start);
    const signatures = await signaturesOf(disk);
    const device = {
      sizeBytes: disk.sizeBytes,
      blockBytes: disk.facts.blockBytes,
      isReadOnly: disk.isWriteProtected,
      read: (position: number, length: number) => disk.read(position, length),
      write: (position: number, data: Uint8Array) => disk.write(position, data),
      zero: (position: number, length: number) => disk.zero(position, length),
      flush: () => disk.flush(),
    };
    await using _server = await NbdServer.listen(device, start.socketPath);
    let isClosing = false;
    void disk.lost.then((error) => {
      if (!isClosing) tell({ event: 'lost', error: toWireError(error) });
    });
    tell({
      event: 'ready',
      sizeBytes: device.sizeBytes,
      blockBytes: device.blockBytes,
      isWriteProtected: disk.isWriteProtected,
      hasDataDigest: disk.hasDataDigest,
      signatures,
    });
    // Nothing more is ever said: the end of the channel is the sign to go.
    await lines.next();
    isClosing = true;
    // What the file system has flushed is durable; this is for a client that went away without a flush.
    await disk.flush().catch(() => undefined);
  } catch (error) {
    tell({ event: 'failed', error: toWireError(error) });
  }
}

await run();
channel.end();
