import type { HoldfastError } from '@holdfast/contract/errors';
import type { Signature } from '../signature.ts';

/** A LUN as a block device of this machine, reserved for this hub. */
export interface BlockSource {
  /** Path of the block device. */
  readonly device: string;
  /** Where to format it: the device, or a file that stands for it and gathers small writes. */
  readonly formatPath: string;
  readonly sizeBytes: number;
  readonly isWriteProtected: boolean;
  /** What was on it when it was attached. */
  readonly signatures: readonly Signature[];
  /** What an administrator should know about the connection, such as missing digests. */
  readonly warning: string | undefined;
  /** Settles when the LUN is given up. Never rejects. */
  readonly lost: Promise<HoldfastError>;
  /** Called once the device is mounted: from then on it goes away with the mount, whatever happens to this process. */
  release(): Promise<void>;
  /** After the unmount. Runs `check` while the bytes can still be read, then gives up the reservation and the LUN. */
  detach(check: (path: string) => Promise<void>): Promise<void>;
}
