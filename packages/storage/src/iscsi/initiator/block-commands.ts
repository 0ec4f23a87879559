import { garbled } from './pdu.ts';
import type { ScsiCommand } from './scsi-command.ts';

/** SPC-4 and SBC-3 operation codes. */
const operation = {
  testUnitReady: 0x00,
  inquiry: 0x12,
  modeSense6: 0x1a,
  read16: 0x88,
  write16: 0x8a,
  synchronizeCache16: 0x91,
  serviceActionIn16: 0x9e,
  reportLuns: 0xa0,
} as const;
const readCapacity16 = 0x10;

function cdb(code: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes[0] = code;
  return bytes;
}

export function testUnitReady(): ScsiCommand {
  return { label: 'Asking whether the LUN is ready', cdb: cdb(operation.testUnitReady) };
}

const inquiryBytes = 1024;

/** @param page a vital product data page, or none for the standard answer (SPC-4 §6.6) */
export function inquiry(page?: number): ScsiCommand {
  const bytes = cdb(operation.inquiry);
  if (page !== undefined) bytes.set([1, page], 1);
  bytes.writeUInt16BE(inquiryBytes, 3);
  return { label: 'Asking what the LUN is', cdb: bytes, dataInBytes: inquiryBytes };
}

export interface Inquiry {
  /** 0 for a disk; 0x1f where there is no such LUN. */
  deviceType: number;
  vendor: string;
  product: string;
  revision: string;
}

function textOf(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replaceAll(/[^\x20-\x7e]/g, ' ')
    .trim();
}

/** SPC-4 §6.6.2. */
export function parseInquiry(data: Buffer): Inquiry {
  if (data.byteLength < 36) throw garbled('an INQUIRY answer that is too short');
  return {
    deviceType: (data[0] ?? 0) & 0x1f,
    vendor: textOf(data.subarray(8, 16)),
    product: textOf(data.subarray(16, 32)),
    revision: textOf(data.subarray(32, 36)),
  };
}

export const deviceIdentificationPage = 0x83;
export const blockLimitsPage = 0xb0;

/** The designators of a LUN (SPC-4 §7.8.6) as one text, to tell one LUN from another; empty when it has none. */
export function parseDeviceIdentification(data: Buffer): string {
  const body = pageBody(data, deviceIdentificationPage);
  const designators: string[] = [];
  for (let at = 0; at + 4 <= body.byteLength;) {
    const length = body[at + 3] ?? 0;
    const association = ((body[at + 1] ?? 0) >> 4) & 3;
    const end = at + 4 + length;
    if (end > body.byteLength) throw garbled('a device identification with a wrong length');
    if (association === 0)
      designators.push(`${(body[at + 1] ?? 0) & 0x0f}:${body.toString('hex', at + 4, end)}`);
    at = end;
  }
  return designators.join(' ');
}

/** The most blocks of one command (SBC-3 §6.6.4), or undefined when there is no limit. */
export function parseBlockLimits(data: Buffer): number | undefined {
  const body = pageBody(data, blockLimitsPage);
  const maximum = body.byteLength >= 8 ? body.readUInt32BE(4) : 0;
  return maximum === 0 ? undefined : maximum;
}

function pageBody(data: Buffer, page: number): Buffer {
  if (data.byteLength < 4 || data[1] !== page) throw garbled('another page than was asked for');
  // The allocation length may have cut the page short.
  return data.subarray(4, Math.min(data.byteLength, 4 + data.readUInt16BE(2)));
}

const capacityBytes = 32;

export function readCapacity(): ScsiCommand {
  const bytes = cdb(operation.serviceActionIn16);
  bytes[1] = readCapacity16;
  bytes.writeUInt32BE(capacityBytes, 10);
  return { label: 'Asking for the size of the LUN', cdb: bytes, dataInBytes: capacityBytes };
}

export interface Capacity {
  blockBytes: number;
  blockCount: number;
}

/** SBC-3 §5.16.2. */
export function parseCapacity(data: Buffer): Capacity {
  if (data.byteLength < 12) throw garbled('a capacity that is too short');
  const blockCount = Number(data.readBigUInt64BE(0)) + 1;
  const blockBytes = data.readUInt32BE(8);
  const isBlock = blockBytes >= 512 && blockBytes <= 65_536 && (blockBytes & (blockBytes - 1)) === 0;
  if (!isBlock || !Number.isSafeInteger(blockCount * blockBytes)) {
    throw garbled(`a capacity of ${blockCount} blocks of ${blockBytes} bytes`);
  }
  return { blockBytes, blockCount };
}

const modeSenseBytes = 192;

/** All pages; what is wanted is in the header. */
export function modeSense(): ScsiCommand {
  const bytes = cdb(operation.modeSense6);
  bytes.set([0x08, 0x3f, 0, modeSenseBytes], 1);
  return { label: 'Asking whether the LUN is write-protected', cdb: bytes, dataInBytes: modeSenseBytes };
}

/** The WP bit (SBC-3 §6.5.1). */
export function parseWriteProtection(data: Buffer): boolean {
  if (data.byteLength < 4) throw garbled('a MODE SENSE answer that is too short');
  return ((data[2] ?? 0) & 0x80) !== 0;
}

const lunListBytes = 16 * 1024;

export function reportLuns(): ScsiCommand {
  const bytes = cdb(operation.reportLuns);
  bytes.writeUInt32BE(lunListBytes, 6);
  return { label: 'Asking for the LUNs of the target', cdb: bytes, dataInBytes: lunListBytes };
}

/** The eight bytes of every LUN (SPC-4 §6.33), as far as they fit into the answer. */
export function parseLunList(data: Buffer): Buffer[] {
  if (data.byteLength < 8) throw garbled('a list of LUNs that is too short');
  const end = Math.min(data.byteLength, 8 + data.readUInt32BE(0));
  const luns: Buffer[] = [];
  for (let at = 8; at + 8 <= end; at += 8) luns.push(data.subarray(at, at + 8));
  return luns;
}

function blockRange(code: number, block: number, count: number): Buffer {
  const bytes = cdb(code);
  bytes.writeBigUInt64BE(BigInt(block), 2);
  bytes.writeUInt32BE(count, 10);
  return bytes;
}

export function readBlocks(block: number, count: number, blockBytes: number): ScsiCommand {
  return {
    label: `Reading blocks ${block} to ${block + count - 1}`,
    cdb: blockRange(operation.read16, block, count),
    dataInBytes: count * blockBytes,
  };
}

export function writeBlocks(block: number, data: Uint8Array, blockBytes: number): ScsiCommand {
  const count = data.byteLength / blockBytes;
  return {
    label: `Writing blocks ${block} to ${block + count - 1}`,
    cdb: blockRange(operation.write16, block, count),
    dataOut: data,
  };
}

/** Of the whole LUN: makes what was written durable. */
export function synchronizeCache(): ScsiCommand {
  const command = {
    label: 'Making the written blocks durable',
    cdb: blockRange(operation.synchronizeCache16, 0, 0),
  };
  return { ...command, isSlow: true };
}
