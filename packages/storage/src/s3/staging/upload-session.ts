import type { StagedUpload } from '../../contents.ts';
import type { ReceivedPiece } from '../../contents.ts';
import type { Slots } from '../../spool/slots.ts';
import type { Spool } from '../../spool/spool.ts';
import type { StagedObject } from './staged-object.ts';

/** What all uploads of one backend share. */
export interface Workshop {
  readonly spool: Spool;
  /** Bytes are sent to S3 in one of these. */
  readonly slots: Slots;
  readonly logger: { warn(details: object, message: string): void } | undefined;
}

export interface SealedDigest {
  /** Lower-case hex. */
  sha256: string;
}

/** How the bytes of one upload come together to its staged object, in one of several ways. */
export interface UploadSession
  extends AsyncDisposable, Pick<StagedUpload, 'receive' | 'prefixGrew' | 'hashed'> {
  readonly staged: StagedObject;
  /** Of the multipart upload, where there is one. */
  readonly uploadId: string | undefined;
  /** As `StagedUpload.seal`. */
  seal(
    size: number,
    pieces: readonly ReceivedPiece[],
    signal: AbortSignal | undefined,
  ): Promise<SealedDigest>;
}
