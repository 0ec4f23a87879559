import { HoldfastError } from '@holdfast/contract/errors';

/** A SCSI command for one logical unit. */
export interface ScsiCommand {
  /** What it is for, as a gerund, for errors: `Reading block 8`. */
  label: string;
  /** 16 bytes; shorter commands are filled up with zeroes. */
  cdb: Uint8Array;
  /** Bytes that go to the target. They must stay as they are until the command ends. */
  dataOut?: Uint8Array;
  /** At most this many bytes come from the target. */
  dataInBytes?: number;
  /** Whether it may take much longer than others. */
  isSlow?: boolean;
}

/** How a command ended. */
export interface ScsiOutcome {
  /** SAM-5 status code; 0 is good. */
  status: number;
  /** What came, at most `dataInBytes`. */
  dataIn: Buffer;
  /** Sense data; empty when there is none. */
  sense: Buffer;
}

const maxLun = 16383;

/**
 * The eight bytes of a logical unit number (SAM-5 §4.7): peripheral addressing below 256, flat addressing above.
 * @throws HoldfastError `validation_failed` beyond 16383
 */
export function encodeLun(lun: number): Buffer {
  if (!Number.isInteger(lun) || lun < 0 || lun > maxLun) {
    const message = `it must be a whole number from 0 to ${maxLun}`;
    throw new HoldfastError('validation_failed', `The LUN cannot be ${lun}: ${message}.`, {
      errors: [{ field: 'config.lun', message }],
    });
  }
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16BE(lun < 256 ? lun : 0x4000 | lun);
  return bytes;
}

/** The number of a logical unit from its eight bytes, or undefined for addressing that is not used here. */
export function decodeLun(bytes: Buffer): number | undefined {
  const first = bytes.readUInt16BE(0);
  const method = first >> 14;
  if (bytes.readUIntBE(2, 6) !== 0) return undefined;
  if (method === 0) return first <= 0xff ? first : undefined;
  return method === 1 ? first & 0x3fff : undefined;
}
