import { decodeBatch, type BatchFrame, type BatchLimits } from '@holdfast/bytes/batch-framing';
import type { RecordAnswer } from '@holdfast/catalog/host-files';
import { isHoldfastError } from '@holdfast/contract/errors';
import {
  batchFileHeader,
  MAX_BATCH_BYTES,
  MAX_BATCH_FILE_BYTES,
  MAX_BATCH_FILES,
  MAX_BATCH_HEADER_BYTES,
  type BatchFileHeader,
  type BatchResult,
} from '@holdfast/contract/uploads';
import type { Principal } from '../../access/access.ts';
import type { HostFiles } from '../../host-files/host-files.ts';
import type { Vault } from '../../vault/vault.ts';
import type { VaultBackend } from '../space.ts';

const limits: BatchLimits = {
  files: MAX_BATCH_FILES,
  headerBytes: MAX_BATCH_HEADER_BYTES,
  fileBytes: MAX_BATCH_FILE_BYTES,
  totalBytes: MAX_BATCH_BYTES,
};
/** Files are stored in groups of at most so many bytes, so that a batch is never in memory as a whole. */
const GROUP_BYTES = 4 * 1024 * 1024;
/** Batches that are read at the same time; the others wait with their bytes still in the network. */
const SIDE_BY_SIDE = 8;

type FileAnswer = BatchResult['files'][number];

/** A file of a batch whose header is in order. */
interface AcceptedFile {
  header: BatchFileHeader;
  bytes: Buffer;
}

/** Many small files in one request: one wait for the disk and one transaction for each group of them. */
export class Batches {
  readonly #vault: Vault;
  readonly #hostFiles: HostFiles;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: { vault: Vault; hostFiles: HostFiles }) {
    this.#vault = options.vault;
    this.#hostFiles = options.hostFiles;
  }

  /**
   * Stores the files of a batch. Each is answered on its own, in order; whatever is not `refused` is durable when this resolves.
   * When the batch itself is cut short or malformed, files before that place may have been stored, and nothing is answered: sent
   * again they are found to be there.
   * @throws HoldfastError `incomplete_body`, `too_large`, `invalid_request`, `backend_unavailable`, `read_only`
   */
  async store(
    principal: Principal,
    backend: VaultBackend,
    source: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<FileAnswer[]> {
    await this.#turn();
    try {
      const answers: FileAnswer[] = [];
      let group: BatchFrame[] = [];
      let groupBytes = 0;
      const flush = async (): Promise<void> => {
        answers.push(...(await this.#storeGroup(principal, backend, group, signal)));
        group = [];
        groupBytes = 0;
      };
      for await (const frame of decodeBatch(source, limits)) {
        group.push(frame);
        groupBytes += frame.bytes.byteLength;
        if (groupBytes >= GROUP_BYTES) await flush();
      }
      if (group.length > 0) await flush();
      return answers;
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    if (this.#running >= SIDE_BY_SIDE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running += 1;
  }

  async #storeGroup(
    principal: Principal,
    backend: VaultBackend,
    frames: readonly BatchFrame[],
    signal: AbortSignal,
  ): Promise<FileAnswer[]> {
    const checked = frames.map((frame) => this.#accept(principal, frame));
    const files = checked.filter((one) => 'bytes' in one);
    const sums = files.map(({ header }) => header.sha256);
    const readable = await this.#hostFiles.readable([...new Set(sums)], principal);
    await using _locks = await this.#vault.lockMany(sums, signal);
    const outcomes = await this.#vault.storeMany(
      backend,
      files.map(({ header, bytes }) => ({ sha256: header.sha256, bytes })),
      { signal },
    );
    const kept = files.flatMap(({ header }, index) => {
      const outcome = outcomes[index];
      return outcome === undefined || outcome.kind === 'failed' ? [] : [{ header, outcome }];
    });
    const recorded = await this.#hostFiles.recordMany(
      principal,
      kept.map(({ header, outcome: { kind, backendId } }) => ({
        hostname: header.hostname,
        filepath: header.filepath,
        sha256: header.sha256,
        size: header.size,
        mtime: typeof header.mtime === 'string' ? new Date(header.mtime) : null,
        mode: header.mode ?? null,
        content: { backendId, published: kind === 'stored' },
      })),
    );
    const answerOf = new Map<BatchFileHeader, FileAnswer>();
    for (const [index, { header }] of kept.entries()) {
      const answer = recorded[index];
      if (answer === undefined) throw new RangeError('the catalog left an answer out');
      answerOf.set(header, recordedAnswer(header, answer, readable.has(header.sha256)));
    }
    for (const [index, { header }] of files.entries()) {
      const outcome = outcomes[index];
      if (outcome?.kind === 'failed') answerOf.set(header, failedAnswer(header, outcome.error));
    }
    return checked.map((one) => {
      if (!('bytes' in one)) return one;
      const answer = answerOf.get(one.header);
      if (answer === undefined) throw new RangeError('a file of the batch was left out');
      return answer;
    });
  }

  /** The file, or why it is refused: by its header or its machine. Its bytes are verified where they are stored. */
  #accept(principal: Principal, { header: given, bytes }: BatchFrame): AcceptedFile | FileAnswer {
    const parsed = batchFileHeader.safeParse(given);
    if (!parsed.success) {
      const detail = parsed.error.issues
        .map(({ path, message }) => `${path.join('.')} ${message}`)
        .join('; ');
      return refusal(given, 'validation_failed', `${detail}.`);
    }
    const header = parsed.data;
    try {
      this.#hostFiles.requireHostname(principal, header.hostname);
    } catch (error) {
      return failedAnswer(header, error);
    }
    return { header, bytes };
  }
}

function recordedAnswer(header: BatchFileHeader, answer: RecordAnswer, wasReadable: boolean): FileAnswer {
  switch (answer.kind) {
    case 'recorded':
      return {
        ...nameOf({ ...header }),
        status: wasReadable ? 'deduplicated' : 'stored',
        file_id: answer.file.id,
      };
    case 'quota_exceeded':
      return failedAnswer(header, answer.error);
    case 'content_missing':
    case 'content_removing':
      return refusal({ ...header }, 'busy', 'Its content is just being removed. Send it again in a moment.');
    default:
      return answer satisfies never;
  }
}

/** @throws what is no HoldfastError: a bug */
function failedAnswer(header: BatchFileHeader, error: unknown): FileAnswer {
  if (!isHoldfastError(error)) throw error;
  return refusal({ ...header }, error.code, error.message);
}

function refusal(header: Record<string, unknown>, code: string, detail: string): FileAnswer {
  return { ...nameOf(header), status: 'refused', code, detail };
}

/** What tells a file apart in the answer, as far as its header says it. */
function nameOf(header: Record<string, unknown>): Pick<FileAnswer, 'filepath' | 'hostname' | 'sha256'> {
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return {
    filepath: text(header['filepath']),
    hostname: text(header['hostname']),
    sha256: text(header['sha256']),
  };
}
