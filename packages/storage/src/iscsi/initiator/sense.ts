import { HoldfastError } from '@holdfast/contract/errors';

/** SAM-5 §5.3.1. */
export const scsiStatus = {
  good: 0x00,
  checkCondition: 0x02,
  busy: 0x08,
  reservationConflict: 0x18,
  taskSetFull: 0x28,
  taskAborted: 0x40,
} as const;

export const senseKey = {
  recovered: 0x1,
  notReady: 0x2,
  mediumError: 0x3,
  hardwareError: 0x4,
  illegalRequest: 0x5,
  unitAttention: 0x6,
  dataProtect: 0x7,
  abortedCommand: 0xb,
  miscompare: 0xe,
} as const;

export interface Sense {
  key: number;
  /** Additional sense code and qualifier, as `asc << 8 | ascq`. */
  code: number;
}

/** Reads sense data of either format (SPC-4 §4.5); undefined when there is none, or it is of another format. */
export function parseSense(bytes: Buffer): Sense | undefined {
  const format = (bytes[0] ?? 0) & 0x7f;
  if ((format === 0x70 || format === 0x71) && bytes.byteLength >= 14) {
    return { key: (bytes[2] ?? 0) & 0x0f, code: bytes.readUInt16BE(12) };
  }
  if ((format === 0x72 || format === 0x73) && bytes.byteLength >= 4) {
    return { key: (bytes[1] ?? 0) & 0x0f, code: bytes.readUInt16BE(2) };
  }
  return undefined;
}

/** What is to be done about a command that did not end well. */
export type Remedy =
  /** The same command again, at once. */
  | 'again'
  /** The same command again, a little later. */
  | 'later'
  /** Another initiator has the LUN. */
  | 'reserved'
  | 'fail';

/** How a status is to be met. A unit attention only reports an event (SAM-5 §5.14): the command was not carried out. */
export function remedyFor(status: number, sense: Sense | undefined): Remedy {
  if (status === scsiStatus.busy || status === scsiStatus.taskSetFull) return 'later';
  if (status === scsiStatus.reservationConflict) return 'reserved';
  if (status === scsiStatus.taskAborted) return 'again';
  if (status !== scsiStatus.checkCondition || sense === undefined) return 'fail';
  if (sense.key === senseKey.unitAttention || sense.key === senseKey.abortedCommand) return 'again';
  // 04/01: in process of becoming ready; 04/0A: asymmetric access state transition.
  if (sense.key === senseKey.notReady && (sense.code === 0x04_01 || sense.code === 0x04_0a)) return 'later';
  return 'fail';
}

const unsupportedCodes = new Set([0x20_00, 0x24_00, 0x26_00]);

/** Whether the sense says that the target does not know the command or the field (SPC-4 annex D). */
export function isUnsupported(sense: Sense | undefined): boolean {
  return sense?.key === senseKey.illegalRequest && unsupportedCodes.has(sense.code);
}

/** The error for a command that failed for good. `doing` is a gerund. */
export function scsiFailure(doing: string, status: number, sense: Sense | undefined): HoldfastError {
  if (status === scsiStatus.reservationConflict) return new ReservedByAnother(doing);
  const detail =
    sense === undefined
      ? `SCSI status 0x${status.toString(16).padStart(2, '0')}`
      : `sense ${sense.key.toString(16)}/${sense.code.toString(16).padStart(4, '0')}`;
  const failed = (advice: string): string => `${doing} failed at the iSCSI target (${detail}). ${advice}`;
  switch (sense?.key) {
    case senseKey.dataProtect:
      if (sense.code === 0x27_07)
        return new HoldfastError('storage_full', failed('Its pool is full: enlarge it.'));
      return new HoldfastError('read_only', failed('The LUN is write-protected: change that at the target.'));
    case senseKey.mediumError:
    case senseKey.hardwareError:
      return new HoldfastError(
        'backend_unavailable',
        failed('The disk behind it is damaged: check it there.'),
      );
    case senseKey.illegalRequest:
      if (sense.code === 0x25_00) {
        const text = failed('It has no such LUN: check the field lun.');
        const errors = [{ field: 'config.lun', message: text }];
        return new HoldfastError('backend_unavailable', text, { retryable: false, errors });
      }
      return new HoldfastError(
        'not_supported',
        failed('The target does not know the command or a field of it.'),
      );
    default:
      return new HoldfastError('backend_unavailable', failed('Look into the log of the target.'));
  }
}

/** Another initiator has reserved the LUN. Not retryable: only a person can settle whose it is. */
export class ReservedByAnother extends HoldfastError {
  /** @param doing what was refused, as a gerund */
  constructor(doing: string) {
    const text =
      `${doing} was refused: another hub has reserved the LUN, and only one may use it at a time. Stop the other hub, ` +
      'or choose another LUN. If the other hub is gone for good, its reservation has to be cleared.';
    super('backend_unavailable', text, {
      retryable: false,
      errors: [{ field: 'config.lun', message: text }],
    });
  }
}
