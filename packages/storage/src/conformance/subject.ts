import { joinBackendPath, parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { ErrorCode, HoldfastError } from '@holdfast/contract/errors';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import type { ListOptions, StorageBackend, StorageEntry } from '../backend.ts';

/** Ways round the backend, to the storage behind it. */
export interface ConformanceHooks {
  /** Makes a symlink at a path with this target text. */
  plantSymlink?(at: BackendPath, target: string): Promise<void>;
  /** Replaces the bytes of a file in place: the same file, other bytes. */
  tamper?(path: BackendPath, bytes: Uint8Array): Promise<void>;
}

/** A fresh, empty backend to be tested, and what belongs to it. */
export interface ConformanceSubject {
  backend: StorageBackend;
  /** Puts many small files into a folder faster than by single writes. */
  seed?(folder: BackendPath, names: readonly string[]): Promise<void>;
  hooks?: ConformanceHooks;
  dispose(): Promise<void>;
}

/** What the suite cannot ask the backend for, because tests are named before it is made. */
export interface ConformanceOptions {
  /** `hooks.plantSymlink` is there. */
  symlinks?: boolean;
  /** `hooks.tamper` is there. */
  tampering?: boolean;
  /** Names that differ in case, or in Unicode normal form, are different files. Default true. */
  distinctNames?: boolean;
  /** Names that begin with a dot show in listings; nginx, for one, leaves them out. Default true. */
  listsDotNames?: boolean;
  /** The backend has a vault (`contents`). */
  contents?: boolean;
}

/** The subject of a suite and a folder of its own for each test. */
export class ConformanceBench {
  readonly options: Required<ConformanceOptions>;
  #subject: ConformanceSubject | undefined;
  #folder: BackendPath = ROOT;
  #count = 0;

  constructor(make: () => Promise<ConformanceSubject>, options: ConformanceOptions) {
    this.options = {
      symlinks: false,
      tampering: false,
      distinctNames: true,
      listsDotNames: true,
      contents: false,
      ...options,
    };
    beforeAll(async () => {
      this.#subject = await make();
    });
    beforeEach(() => {
      this.#count += 1;
      this.#folder = parseBackendPath(`/case-${this.#count}`);
    });
    afterAll(async () => {
      await this.#subject?.dispose();
    });
  }

  get subject(): ConformanceSubject {
    if (this.#subject === undefined) throw new Error('The backend of the suite was not made.');
    return this.#subject;
  }

  get backend(): StorageBackend {
    return this.subject.backend;
  }

  /** The folder of this test; nothing is in it yet. */
  get folder(): BackendPath {
    return this.#folder;
  }

  /** A path below the folder of this test. */
  at(...names: string[]): BackendPath {
    return names.reduce<BackendPath>((parent, name) => joinBackendPath(parent, name), this.#folder);
  }

  /** Every entry of a listing, page by page. */
  async listAll(path: BackendPath, options: Omit<ListOptions, 'cursor'> = {}): Promise<StorageEntry[]> {
    const entries: StorageEntry[] = [];
    for (let cursor: string | undefined; ;) {
      const page = await this.backend.list(path, cursor === undefined ? options : { ...options, cursor });
      entries.push(...page.entries);
      cursor = page.nextCursor;
      if (cursor === undefined) return entries;
    }
  }

  /** The names in the folder of this test: also shows what a refused write has left over. */
  async names(): Promise<string[]> {
    return (await this.listAll(this.#folder)).map((entry) => entry.name);
  }
}

/** The error that a call is refused with; fails when it goes through, or fails with another code. */
export async function refusal(call: Promise<unknown>, ...codes: ErrorCode[]): Promise<HoldfastError> {
  const outcome = await call.then(
    () => new Error(`The call went through; expected ${codes.join(' or ')}.`),
    (error: unknown) => error,
  );
  return requireRefusal(outcome, ...codes);
}

/** As `refusal`, for an error that is already there. */
export function requireRefusal(outcome: unknown, ...codes: ErrorCode[]): HoldfastError {
  if (isHoldfastError(outcome) && codes.includes(outcome.code)) {
    if (!/^.{12,}\.$/s.test(outcome.message))
      throw new Error(`"${outcome.message}" is not a sentence to act on.`);
    return outcome;
  }
  throw new Error(`Expected ${codes.join(' or ')}.`, { cause: outcome });
}
