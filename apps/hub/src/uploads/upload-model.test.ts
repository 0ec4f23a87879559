import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { collectionReport } from '@holdfast/contract/host-files';
import { uploadCompleted } from '@holdfast/contract/uploads';
import { startHub } from '@holdfast/test-support/hub';
import { ADMIN_KEY, startTestHub, targetOf, type TestHub } from '../testing/test-hub.ts';
import { chunkOf, refusalOf, sampleFile, UploadClient, type SampleFile } from '../testing/upload-client.ts';

/** A prime, so that no two chunks of a sample are alike. */
const CHUNK = 1009;
const HOST = 'build-7';
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const TTL = 60 * MINUTE;
const TOMBSTONE = 7 * DAY;
const RETENTION = 30 * DAY;
/** The clock stands still between two steps. What lies on the disk must be older than a sweep that comes next. */
const TICK = 61_000;

const contents = [0, 700, 2 * CHUNK + 500, 3 * CHUNK].map((size, index) =>
  sampleFile(size, { seed: `content ${index};`, hostname: HOST }),
);

type Command =
  | { kind: 'begin'; path: string; content: number }
  | { kind: 'chunk'; session: number; num: number; other: boolean }
  | { kind: 'complete'; session: number; collecting: boolean }
  | { kind: 'finish'; session: number }
  | { kind: 'abort'; session: number }
  | { kind: 'pass'; minutes: number }
  | { kind: 'expire' }
  | { kind: 'delete'; path: string }
  | { kind: 'restore'; path: string; version: number }
  | { kind: 'collect' }
  | { kind: 'restart'; session: number }
  | { kind: 'interrupt'; session: number; published: boolean }
  | { kind: 'kill'; session: number; answers: number };

const path = fc.constantFrom('/a', '/b');
const session = fc.nat(3);
const begin = fc.record({
  kind: fc.constant('begin' as const),
  path,
  content: fc.nat(contents.length - 1),
});
const chunk = fc.record({
  kind: fc.constant('chunk' as const),
  session,
  num: fc.nat(2),
  other: fc.nat(9).map((dice) => dice === 0),
});
const complete = fc.record({ kind: fc.constant('complete' as const), session, collecting: fc.boolean() });
const finish = fc.record({ kind: fc.constant('finish' as const), session });
const remove = fc.record({ kind: fc.constant('delete' as const), path });
const collect = fc.constant<Command>({ kind: 'collect' });

const drivenCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 6, arbitrary: begin },
  { weight: 8, arbitrary: chunk },
  { weight: 3, arbitrary: complete },
  { weight: 3, arbitrary: finish },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), session }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      minutes: fc.constantFrom(40, 70, 8 * 24 * 60, 31 * 24 * 60),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Command>({ kind: 'expire' }) },
  { weight: 3, arbitrary: remove },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('restore' as const), path, version: fc.nat(2) }) },
  { weight: 2, arbitrary: collect },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), session }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('interrupt' as const), session, published: fc.boolean() }),
  },
);

const killedCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: begin },
  { weight: 4, arbitrary: chunk },
  { weight: 1, arbitrary: complete },
  { weight: 1, arbitrary: remove },
  { weight: 1, arbitrary: collect },
);
const kill = fc.record({ kind: fc.constant('kill' as const), session, answers: fc.nat(4) });

interface ModelSession {
  id: string;
  file: SampleFile;
  /** By number: whether the file's own bytes were acknowledged. */
  chunks: Map<number, boolean>;
  state: 'open' | 'expired' | 'aborted' | 'failed' | 'completed' | 'forgotten';
  expiresAt: number;
  endedAt: number;
  fileId: string | null;
}

interface ModelFile {
  versions: { id: string; file: SampleFile }[];
  deletedAt: number | null;
}

/** What a hub should know and hold. */
class Model {
  readonly sessions: ModelSession[] = [];
  readonly files = new Map<string, ModelFile>();
  /** SHA-256 of what the vault holds. */
  vault = new Set<string>();

  /** The n-th latest session. */
  session(n: number): ModelSession | undefined {
    return this.sessions.at(-1 - (n % Math.max(1, this.sessions.length)));
  }

  referenced(): Map<string, SampleFile> {
    const all = [...this.files.values()].flatMap(({ versions }) => versions);
    return new Map(all.map(({ file }) => [file.sha256, file]));
  }

  /** The same version again, or one more. */
  record(file: SampleFile, id: string): void {
    const known = this.files.get(file.filepath);
    const last = known?.versions.at(-1);
    const isSame = known?.deletedAt === null && last?.file.sha256 === file.sha256;
    if (isSame) expect(id, 'the same version').toBe(last?.id);
    else expect(known?.versions.map((version) => version.id) ?? [], 'a new version').not.toContain(id);
    const versions = [...(known?.versions ?? []), ...(isSame ? [] : [{ id, file }])];
    this.files.set(file.filepath, { versions, deletedAt: null });
    this.vault.add(file.sha256);
  }

  completed(of: ModelSession, fileId: string): void {
    this.end(of, 'completed');
    of.fileId = fileId;
    this.record(of.file, fileId);
  }

  end(of: ModelSession, state: ModelSession['state']): void {
    of.state = state;
    of.endedAt = Date.now();
  }

  expire(): void {
    for (const each of this.sessions) {
      if (each.state === 'open' && each.expiresAt < Date.now()) this.end(each, 'expired');
      else if (each.state !== 'open' && each.endedAt < Date.now() - TOMBSTONE) each.state = 'forgotten';
    }
  }

  collect(): void {
    for (const [name, file] of this.files) if (isPastRetention(file)) this.files.delete(name);
    this.vault = new Set(this.referenced().keys());
  }
}

function isPastRetention(file: ModelFile | undefined): boolean {
  return (file?.deletedAt ?? Number.POSITIVE_INFINITY) < Date.now() - RETENTION;
}

/** The code of the refusal that a session which takes no bytes answers with. */
function refusedBy({ state, expiresAt }: ModelSession): string | null {
  switch (state) {
    case 'open':
      return expiresAt <= Date.now() ? 'upload_expired' : null;
    case 'expired':
      return 'upload_expired';
    case 'failed':
      return 'checksum_mismatch';
    case 'forgotten':
      return 'upload_not_found';
    default:
      return 'conflict';
  }
}

function totalChunks({ bytes }: SampleFile): number {
  return Math.ceil(bytes.length / CHUNK);
}

function missingChunks({ file, chunks }: ModelSession): number[] {
  return Array.from({ length: totalChunks(file) }, (_, num) => num).filter((num) => !chunks.has(num));
}

/** A hub and what is expected of it, step by step. */
class ModelledHub {
  readonly hub: TestHub;
  readonly client: UploadClient;
  readonly model = new Model();

  constructor(hub: TestHub) {
    this.hub = hub;
    this.client = new UploadClient(hub);
  }

  async apply(step: Command): Promise<void> {
    const { model } = this;
    switch (step.kind) {
      case 'begin':
        await this.#begin({ ...contentAt(step.content), filepath: step.path });
        return;
      case 'pass':
        vi.setSystemTime(Date.now() + step.minutes * MINUTE);
        return;
      case 'expire':
        await this.hub.context.uploads.expire();
        model.expire();
        return;
      case 'delete':
        await this.#delete(step.path);
        return;
      case 'restore':
        await this.#restore(step.path, step.version);
        return;
      case 'collect':
        await this.#collect();
        model.collect();
        await this.verify();
        return;
      default: {
        const of = model.session(step.session);
        if (of !== undefined) await this.#applyTo(of, step);
      }
    }
  }

  async #applyTo(of: ModelSession, step: Extract<Command, { session: number }>): Promise<void> {
    switch (step.kind) {
      case 'chunk':
        await this.#chunk(of, step.num, step.other);
        return;
      case 'complete':
        await this.#complete(of, step.collecting);
        return;
      case 'finish':
        await this.#finish(of);
        return;
      case 'abort':
        await this.#abort(of);
        return;
      case 'restart':
        await this.#restart(of);
        return;
      case 'interrupt':
        await this.#interrupt(of, step.published);
        return;
      case 'kill':
        await this.#kill(of, step.answers);
        return;
      default:
        return step satisfies never;
    }
  }

  async #begin(file: SampleFile): Promise<void> {
    const { model } = this;
    const begun = await this.client.begin(file, CHUNK);
    expect(begun.deduplicated, 'begun without bytes').toBe(model.referenced().has(file.sha256));
    if (begun.deduplicated) {
      model.record(file, begun.file_id);
      return;
    }
    const { upload_id: id } = begun;
    const expiresAt = Date.now() + TTL;
    model.sessions.push({ id, file, chunks: new Map(), state: 'open', expiresAt, endedAt: 0, fileId: null });
  }

  /** @param other sends bytes that are not the file's */
  async #chunk(of: ModelSession, wanted: number, other: boolean): Promise<void> {
    if (totalChunks(of.file) === 0) return;
    const num = wanted % totalChunks(of.file);
    const own = chunkOf(of.file, CHUNK, num);
    const sent = this.client.put(of.id, num, other ? Buffer.alloc(own.length, '!') : own);
    const known = of.chunks.get(num);
    const refused = refusedBy(of) ?? (known === undefined || known === !other ? null : 'chunk_conflict');
    if (refused !== null) {
      expect(await refusalOf(sent)).toMatchObject({ code: refused });
      return;
    }
    expect((await sent).status).toBe(200);
    of.chunks.set(num, !other);
    of.expiresAt = Date.now() + TTL;
  }

  async #complete(of: ModelSession, collecting: boolean): Promise<void> {
    const { model } = this;
    const { sha256, filepath } = of.file;
    const hadContent = model.vault.has(sha256);
    // A path that this very collection forgets becomes another version before it and after it.
    const isBeside = collecting && !isPastRetention(model.files.get(filepath));
    const [answer] = await Promise.all([this.client.complete(of.id), isBeside ? this.#collect() : null]);
    if (isBeside) model.collect();
    if (of.state === 'completed') {
      expect(uploadCompleted.parse(await answer.json())).toMatchObject({ file_id: of.fileId, sha256 });
      return;
    }
    const isWrong = [...of.chunks.values()].includes(false);
    const refused =
      refusedBy(of) ??
      (missingChunks(of).length > 0 ? 'chunks_missing' : isWrong ? 'checksum_mismatch' : null);
    if (refused !== null) {
      expect(await refusalOf(answer)).toMatchObject({ code: refused });
      if (of.state === 'open' && refused === 'checksum_mismatch') model.end(of, 'failed');
      return;
    }
    expect(answer.status).toBe(200);
    const done = uploadCompleted.parse(await answer.json());
    expect(done).toMatchObject({ sha256, file_size: of.file.bytes.length });
    // What a collection beside it removes is stored anew or kept, whoever comes first.
    if (!hadContent || model.vault.has(sha256)) expect(done.deduplicated).toBe(hadContent);
    model.completed(of, done.file_id ?? '');
  }

  async #finish(of: ModelSession): Promise<void> {
    if (refusedBy(of) === null) for (const num of missingChunks(of)) await this.#chunk(of, num, false);
    await this.#complete(of, false);
  }

  async #abort(of: ModelSession): Promise<void> {
    const answer = await this.client.abort(of.id);
    const refused = of.state === 'aborted' ? null : refusedBy(of);
    if (refused !== null) {
      expect(await refusalOf(answer)).toMatchObject({ code: refused });
      return;
    }
    expect(answer.status).toBe(200);
    if (of.state === 'open') this.model.end(of, 'aborted');
  }

  async #delete(filepath: string): Promise<void> {
    const file = this.model.files.get(filepath);
    const sha256 = (file?.versions.at(-1)?.file ?? contentAt(0)).sha256;
    const body = { files: [{ hostname: HOST, filepath, sha256 }] };
    const { deleted } = await this.hub.call(endpoints.deleteHostFiles, { body });
    expect(deleted, 'deleted files').toBe(file === undefined ? 0 : 1);
    if (file !== undefined) file.deletedAt ??= Date.now();
  }

  async #restore(filepath: string, wanted: number): Promise<void> {
    const file = this.model.files.get(filepath);
    const version = file?.versions[wanted];
    const params = { file_id: version?.id ?? 'none' };
    if (version === undefined || isPastRetention(file)) {
      const code = version === undefined ? 'host_file_not_found' : 'upload_expired';
      expect(await this.hub.refusal(endpoints.restoreHostFile, { params })).toMatchObject({ code });
      return;
    }
    const restored = await this.hub.call(endpoints.restoreHostFile, { params });
    this.model.record(version.file, restored.file_id);
  }

  async #collect(): Promise<void> {
    const { data } = await this.hub.call(endpoints.collectVault, { body: { dry_run: false } });
    const { details } = await this.hub.finished(data.operation_id);
    expect(collectionReport.parse(details)).toMatchObject({ failed: [] });
  }

  /** Half a chunk is on its way when the hub stops. */
  async #restart(of: ModelSession): Promise<void> {
    const [num] = missingChunks(of);
    if (num === undefined || refusedBy(of) !== null) {
      await this.hub.restart();
    } else {
      const bytes = chunkOf(of.file, CHUNK, num);
      const held = await this.client.hold(of.id, num, bytes.length);
      await held.write(bytes.subarray(0, bytes.length / 2));
      await Promise.all([this.hub.restart(), held.vanish()]);
    }
    this.model.expire();
    await this.verify();
  }

  /** The hub stops while it completes an upload, before or after the vault has the bytes. */
  async #interrupt(of: ModelSession, published: boolean): Promise<void> {
    if (refusedBy(of) !== null || [...of.chunks.values()].includes(false)) return;
    for (const num of missingChunks(of)) await this.#chunk(of, num, false);
    const { catalog, vault } = this.hub.context;
    const { sha256, bytes } = of.file;
    const size = bytes.length;
    const from = ['initiated', 'uploading'] as const;
    const upload = await catalog.uploads.transition(of.id, from, 'completing', { sha256, size });
    if (published && !this.model.vault.has(sha256)) {
      const { staging } = vault.backendOf(this.hub.backendId).contents;
      const state = upload?.stagingState ?? {};
      await using live = await staging.resume({ id: of.id, state, size, chunkSize: CHUNK });
      await live.seal(size, await catalog.uploads.pieces(of.id));
      await live.publish(sha256, size);
    }
    await this.hub.restart();
    const { status, file_id: fileId } = await this.client.status(of.id);
    expect(status, 'of an interrupted completion').toBe('completed');
    this.model.completed(of, fileId ?? '');
    this.model.expire();
    await this.verify();
  }

  /**
   * Another process runs the hub and is killed by the kernel after so many answers, with chunks of all open sessions and a
   * completion under way.
   */
  async #kill(of: ModelSession, answers: number): Promise<void> {
    const { model } = this;
    await this.hub.stop();
    const env = { HOLDFAST_ADMIN_KEY: ADMIN_KEY };
    await using child = await startHub({ dataDir: this.hub.dataDir, env });
    const enough = Promise.withResolvers<void>();
    let answered = 0;
    /** @returns whether it was acknowledged */
    const ask = async (
      target: string,
      init: { method: string; body: string | Uint8Array<ArrayBuffer>; headers?: Record<string, string> },
    ): Promise<boolean> => {
      try {
        const headers = {
          'content-type': 'application/octet-stream',
          ...init.headers,
          authorization: `Bearer ${ADMIN_KEY}`,
        };
        const { ok, status } = await child.api(target, { ...init, headers });
        expect([ok, status], target).toEqual([true, 200]);
      } catch (error) {
        // No answer at all: the hub is dead.
        if (error instanceof TypeError) return false;
        throw error;
      }
      answered += 1;
      if (answered >= answers) enough.resolve();
      return true;
    };
    const open = model.sessions.filter((each) => refusedBy(each) === null);
    const before = new Map(open.map((each) => [each.id, new Set(each.chunks.keys())]));
    const sending = open.flatMap((each) =>
      missingChunks(each).map(async (num) => {
        const target = targetOf(endpoints.putChunk, { upload_id: each.id, chunk_num: String(num) });
        if (await ask(target, { method: 'PUT', body: chunkOf(each.file, CHUNK, num) }))
          each.chunks.set(num, true);
      }),
    );
    const isFull = refusedBy(of) === null && missingChunks(of).length === 0;
    const isRight = ![...of.chunks.values()].includes(false);
    const completing =
      isFull && isRight
        ? ask(targetOf(endpoints.completeUpload, { upload_id: of.id }), {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: '{}',
          })
        : Promise.resolve(false);
    const all = Promise.all([completing, ...sending]);
    if (answers > 0) await Promise.race([enough.promise, all]);
    await child.kill('SIGKILL');
    const [completed] = await all;
    await this.hub.restart();

    for (const each of open) {
      const { status, received_chunks: ranges, file_id: fileId } = await this.client.status(each.id);
      if (each === of && completed) expect(status, 'of an acknowledged completion').toBe('completed');
      if (each === of && status === 'completed' && isFull) model.completed(each, fileId ?? '');
      else expect(['initiated', 'uploading'], 'of an open upload').toContain(status);
      const received = numbersOf(ranges);
      expect(received, 'what was acknowledged').toEqual(expect.arrayContaining([...each.chunks.keys()]));
      const known = before.get(each.id);
      for (const num of received) if (known?.has(num) !== true) each.chunks.set(num, true);
    }
    await this.verify();
  }

  /** Every acknowledged byte is there, and no other one. */
  async verify(): Promise<void> {
    const { model } = this;
    const reserved = join(this.hub.root, '.holdfast');
    const staged = model.sessions.filter(({ state }) => state === 'open').map(({ id }) => id);
    expect(await filesBelow(join(reserved, 'uploads')), 'staged').toEqual(staged.toSorted());
    expect(await filesBelow(join(reserved, 'vault')), 'in the vault').toEqual([...model.vault].toSorted());
    expect(await filesBelow(join(reserved, 'staging')), 'half files').toEqual([]);
    for (const each of model.sessions) {
      if (refusedBy(each) !== null) continue;
      const { received_chunks: ranges } = await this.client.status(each.id);
      expect(numbersOf(ranges), 'received').toEqual([...each.chunks.keys()].toSorted((a, b) => a - b));
    }
    for (const [sha256, { bytes }] of model.referenced())
      expect((await this.client.content(sha256)).equals(bytes), `the bytes of ${sha256}`).toBe(true);
    for (const [filepath, { versions, deletedAt }] of model.files) {
      const reach = { kind: 'all' } as const;
      const current = await this.hub.context.catalog.hostFiles.current(HOST, filepath, reach);
      const last = versions.at(-1);
      expect(current).toMatchObject({ id: last?.id, sha256: last?.file.sha256 });
      expect(current?.deletedAt === null, 'not deleted').toBe(deletedAt === null);
    }
  }

  /** What was begun can be ended and reads back; when all of it is deleted, nothing is left. */
  async conclude(): Promise<void> {
    await this.verify();
    for (const each of this.model.sessions) if (refusedBy(each) === null) await this.#finish(each);
    await this.verify();
    for (const filepath of this.model.files.keys()) await this.#delete(filepath);
    await this.apply({ kind: 'pass', minutes: 31 * 24 * 60 });
    await this.apply({ kind: 'expire' });
    await this.apply({ kind: 'collect' });
    expect(this.model.vault.size).toBe(0);
  }
}

function contentAt(index: number): SampleFile {
  const content = contents[index];
  if (content === undefined) throw new RangeError(`There is no content ${index}.`);
  return content;
}

function numbersOf(ranges: readonly (readonly [number, number])[]): number[] {
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, at) => first + at));
}

/** Names of the files in a folder and below, sorted; none when it is not there yet. */
async function filesBelow(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.flatMap((entry) => (entry.isFile() ? [entry.name] : [])).toSorted();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** Whatever a run does to the clock ends with it. */
function ownClock(): Disposable {
  return { [Symbol.dispose]: () => vi.useRealTimers() };
}

describe('uploads', () => {
  it(
    'lose nothing that was acknowledged and leave nothing behind, whatever happens in whatever order',
    { timeout: 300_000 },
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(drivenCommand, { minLength: 5, maxLength: 40, size: 'max' }),
          async (steps) => {
            using _clock = ownClock();
            vi.useFakeTimers({ toFake: ['Date'] });
            await using hub = await startTestHub();
            const modelled = new ModelledHub(hub);
            for (const step of steps) {
              vi.setSystemTime(Date.now() + TICK);
              await modelled.apply(step);
            }
            await modelled.conclude();
          },
        ),
        { numRuns: 15, includeErrorInReport: true },
      );
    },
  );

  it('survive a kill at any moment, again and again', { timeout: 300_000 }, async () => {
    const rounds = fc.array(
      fc.tuple(fc.array(killedCommand, { minLength: 3, maxLength: 12, size: 'max' }), kill),
      { minLength: 1, maxLength: 3, size: 'max' },
    );
    await fc.assert(
      fc.asyncProperty(rounds, async (killed) => {
        using _clock = ownClock();
        await using hub = await startTestHub();
        const modelled = new ModelledHub(hub);
        for (const step of killed.flat(2)) await modelled.apply(step);
        await modelled.conclude();
      }),
      { numRuns: 3, includeErrorInReport: true },
    );
  });
});
