import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { StreamDigest } from '@holdfast/bytes/sha256';
import { HoldfastError } from '@holdfast/contract/errors';
import { connectionSettings, DEFAULT_STALL_MS, lunKey } from './config.ts';
import type { IscsiConfig, IscsiSurroundings } from './config.ts';
import { IscsiDisk } from './initiator/disk.ts';
import { newFenceKey } from './initiator/fence.ts';
import { randomIsid } from './initiator/isid.ts';
import { sanbootUri } from './sanboot.ts';
import { detectSignatures, SIGNATURE_AREA_BYTES, signatureNames } from './signature.ts';

/** Bytes of one write, and of the head that is written last. */
const chunkBytes = 1024 * 1024;
const inFlight = 8;

export interface LunImageOptions
  extends Omit<IscsiConfig, 'filesystem' | 'mode'>, Omit<IscsiSurroundings, 'stateDir' | 'logger'> {
  /** Bytes of the image. */
  sizeBytes: number;
  /** Lower-case hex SHA-256 that the image must have. */
  expectedSha256?: string | undefined;
  /** Write even though the LUN carries something. Default false. */
  overwrite?: boolean | undefined;
  /** Called with the bytes that are written, and later with those that are verified. */
  onProgress?: ((step: 'written' | 'verified', bytes: number) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface LunImageResult {
  bytes: number;
  /** Lower-case hex SHA-256 of the bytes that were read back from the LUN. */
  sha256: string;
  /** What iPXE's `sanboot` takes. */
  sanbootUri: string;
}

/** LUNs that this process writes an image to. */
const underWay = new Set<string>();

/**
 * Writes the image of a disk onto a raw LUN for a machine to boot from, makes it durable, reads it back and compares.
 * The head of the image (1 MiB, with its boot sector and partition table) comes last, after all the rest is verified:
 * a LUN whose image is not complete does not boot. The LUN is reserved meanwhile, with another key than for a mounted
 * one: a LUN that any hub has mounted is refused.
 *
 * @throws HoldfastError `validation_failed` when the LUN carries something or is too small (nothing is written),
 *   `incomplete_body`, `checksum_mismatch`, `read_only`, `backend_unavailable`, `cancelled`
 */
export async function writeLunImage(
  source: AsyncIterable<Uint8Array>,
  options: LunImageOptions,
): Promise<LunImageResult> {
  const { ownerId, signal, stallMs = DEFAULT_STALL_MS } = options;
  const settings = connectionSettings(options, options);
  const key = lunKey(settings);
  if (underWay.has(key)) {
    throw new HoldfastError(
      'conflict',
      'An image is being written to this LUN already. Wait until that has ended.',
    );
  }
  underWay.add(key);
  try {
    const fenceKey = newFenceKey(`${ownerId} image ${key}`);
    await using disk = await IscsiDisk.open({ ...settings, isid: randomIsid(), stallMs, fenceKey }, signal);
    await requireFit(disk, options);
    const sha256 = await writeAndVerify(disk, source, options);
    return {
      bytes: options.sizeBytes,
      sha256,
      sanbootUri: sanbootUri(settings.portal, settings.lun, settings.target),
    };
  } finally {
    underWay.delete(key);
  }
}

function refuse(field: string, message: string): never {
  throw new HoldfastError('validation_failed', message, { errors: [{ field, message }] });
}

/** Everything that can be wrong before the first byte is written. */
async function requireFit(disk: IscsiDisk, { sizeBytes, overwrite }: LunImageOptions): Promise<void> {
  if (disk.isWriteProtected) {
    throw new HoldfastError('read_only', 'The LUN is write-protected at the target. Change that there.');
  }
  if (sizeBytes > disk.sizeBytes) {
    refuse(
      'lun',
      `The image has ${sizeBytes} bytes and the LUN only ${disk.sizeBytes}. Choose a larger LUN.`,
    );
  }
  const length = Math.min(SIGNATURE_AREA_BYTES, disk.sizeBytes);
  const [first, last] = await Promise.all([disk.read(0, length), disk.read(disk.sizeBytes - length, length)]);
  const signatures = detectSignatures(first, last, disk.sizeBytes);
  if (signatures.length > 0 && overwrite !== true) {
    refuse(
      'overwrite',
      `The LUN carries something already (${signatureNames(signatures)}). Ask to overwrite it, or choose another LUN.`,
    );
  }
}

async function writeAndVerify(
  disk: IscsiDisk,
  source: AsyncIterable<Uint8Array>,
  options: LunImageOptions,
): Promise<string> {
  const { sizeBytes, signal, onProgress } = options;
  // What boots now must not boot half of the old and half of the new.
  await disk.zero(0, Math.min(roundUp(chunkBytes, disk.facts.blockBytes), disk.sizeBytes));
  const writer = new ImageWriter(disk, sizeBytes, onProgress);
  for await (const chunk of source) {
    throwIfCancelled(signal, 'Writing the image');
    await writer.append(chunk);
  }
  const { head, digest } = await writer.finish();
  const sha256 = digest.hex();
  if (digest.bytes !== sizeBytes) {
    const text = `The image was announced with ${sizeBytes} bytes, but ${digest.bytes} came. Write it again.`;
    throw new HoldfastError('incomplete_body', text);
  }
  if (options.expectedSha256 !== undefined && options.expectedSha256 !== sha256) {
    const text = `The image was announced with SHA-256 ${options.expectedSha256}, but its bytes have ${sha256}.`;
    throw new HoldfastError('checksum_mismatch', `${text} The LUN does not boot; write the image again.`);
  }
  await disk.flush();
  await verify(disk, head, sha256, options);
  const padded = padToBlocks(head, disk.facts.blockBytes);
  await disk.write(0, padded);
  await disk.flush();
  if (!(await disk.read(0, padded.byteLength)).equals(padded)) throw differs('its head');
  return sha256;
}

function differs(what: string): HoldfastError {
  const text = `The LUN gives other bytes back than were written (${what}). Check the network and the disk of the target.`;
  return new HoldfastError('checksum_mismatch', `${text} The LUN does not boot; write the image again.`);
}

/** Reads back what was written, in order and several chunks at a time. */
async function verify(
  disk: IscsiDisk,
  head: Buffer,
  sha256: string,
  options: LunImageOptions,
): Promise<void> {
  const { sizeBytes, signal, onProgress } = options;
  const digest = new StreamDigest();
  digest.update(head);
  const ahead: { reading: Promise<Buffer>; length: number }[] = [];
  let asked = chunkBytes;
  const ask = (): void => {
    if (asked >= sizeBytes) return;
    const length = Math.min(chunkBytes, sizeBytes - asked);
    const reading = disk.read(asked, roundUp(length, disk.facts.blockBytes));
    reading.catch(() => undefined);
    ahead.push({ reading, length });
    asked += length;
  };
  for (let count = 0; count < inFlight; count += 1) ask();
  for (let next = ahead.shift(); next !== undefined; next = ahead.shift()) {
    throwIfCancelled(signal, 'Verifying the image');
    digest.update((await next.reading).subarray(0, next.length));
    onProgress?.('verified', digest.bytes);
    ask();
  }
  if (digest.hex() !== sha256) throw differs('the SHA-256 is another');
}

function roundUp(bytes: number, blockBytes: number): number {
  return Math.ceil(bytes / blockBytes) * blockBytes;
}

function padToBlocks(bytes: Buffer, blockBytes: number): Buffer {
  const padded = Buffer.alloc(roundUp(bytes.byteLength, blockBytes));
  bytes.copy(padded);
  return padded;
}

/** Cuts a source into chunks and writes all but the first, several at a time. */
class ImageWriter {
  readonly #disk: IscsiDisk;
  readonly #sizeBytes: number;
  readonly #onProgress: LunImageOptions['onProgress'];
  readonly #digest = new StreamDigest();
  readonly #writing = new Set<Promise<void>>();
  #head: Buffer | undefined;
  #buffer = Buffer.allocUnsafe(chunkBytes);
  #filled = 0;
  #position = 0;
  #failure: { error: unknown } | undefined;

  constructor(disk: IscsiDisk, sizeBytes: number, onProgress: LunImageOptions['onProgress']) {
    this.#disk = disk;
    this.#sizeBytes = sizeBytes;
    this.#onProgress = onProgress;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.#digest.bytes + bytes.byteLength > this.#sizeBytes) {
      await Promise.all(this.#writing);
      const text = `The image was announced with ${this.#sizeBytes} bytes, but more came. The LUN does not boot; write it again.`;
      throw new HoldfastError('incomplete_body', text);
    }
    this.#digest.update(bytes);
    for (let at = 0; at < bytes.byteLength;) {
      const length = Math.min(chunkBytes - this.#filled, bytes.byteLength - at);
      this.#buffer.set(bytes.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (this.#filled === chunkBytes) await this.#flush();
    }
  }

  /** Waits for all writes; gives what is to be written last. */
  async finish(): Promise<{ head: Buffer; digest: StreamDigest }> {
    if (this.#filled > 0) await this.#flush();
    await Promise.all(this.#writing);
    this.#throwIfFailed();
    return { head: this.#head ?? Buffer.alloc(0), digest: this.#digest };
  }

  async #flush(): Promise<void> {
    const chunk = this.#buffer.subarray(0, this.#filled);
    const position = this.#position;
    this.#buffer = Buffer.allocUnsafe(chunkBytes);
    this.#filled = 0;
    this.#position += chunk.byteLength;
    if (position === 0) {
      this.#head = chunk;
      return;
    }
    const writing = this.#write(position, chunk).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
    if (this.#writing.size >= inFlight) await Promise.race(this.#writing);
    this.#throwIfFailed();
  }

  async #write(position: number, chunk: Buffer): Promise<void> {
    try {
      await this.#disk.write(position, padToBlocks(chunk, this.#disk.facts.blockBytes));
      this.#onProgress?.('written', position + chunk.byteLength);
    } catch (error) {
      this.#failure ??= { error };
    }
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
