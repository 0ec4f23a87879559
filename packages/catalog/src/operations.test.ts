import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { describeDialects } from './dialect-fixture.ts';
import type { NewOperation, Operation } from './operations.ts';

const finished = (at: number, changes: Partial<Operation> = {}): NewOperation & { id: string } => ({
  id: randomUUID(),
  operation: 'upload',
  state: 'finished',
  success: true,
  startedAt: new Date(at),
  finishedAt: new Date(at + 5),
  ...changes,
});

describeDialects(({ open }) => {
  test('an operation is read back as it was inserted', async () => {
    const { operations } = await open();
    const full: Operation = {
      id: randomUUID(),
      operation: 'verify',
      state: 'finished',
      actor: 'key reader',
      provider: 'kimi',
      backendId: 'a backend that may be gone',
      file: "/it's/%_😀",
      bytes: 6_000_000_000_000,
      durationMs: 3_000_000_000,
      success: false,
      duplicate: true,
      error: { code: 'checksum_mismatch', message: 'It differs.', retryable: false },
      details: { checked: 12, drift: ['/a', null] },
      startedAt: new Date(1_700_000_000_123),
      finishedAt: new Date(1_703_000_000_123),
    };
    expect(await operations.insert(full)).toEqual(full);
    expect(await operations.get(full.id)).toEqual(full);
    const least = await operations.insert({ operation: 'sync' });
    expect(least).toMatchObject({
      state: 'running',
      bytes: 0,
      success: null,
      duplicate: false,
      error: null,
      finishedAt: null,
    });
    expect(await operations.get('unknown')).toBeNull();
  });

  test('a batch is written once, even when it is sent again', async () => {
    const { operations } = await open();
    const batch = Array.from({ length: 1_300 }, (_, index) => finished(index));
    await operations.insertMany(batch.slice(0, 700));
    await operations.insertMany(batch);
    await operations.insertMany([]);
    expect((await operations.list({ limit: 1 })).total).toBe(1_300);
  });

  test('a line with a name that cannot be stored is written all the same', async () => {
    const { operations } = await open();
    await operations.insertMany([
      finished(1, { file: '/nul\0/\ud800', actor: 'x\0', details: { path: '/nul\0' } }),
      finished(2, { durationMs: -3 }),
    ]);
    const { rows } = await operations.list({ limit: 10 });
    expect(rows.map(({ file, durationMs }) => [file, durationMs])).toEqual([
      [null, 0],
      ['/nul\uFFFD/\uFFFD', null],
    ]);
    expect(rows[1]?.details).toEqual({ path: '/nul\0' });
  });

  test('a patch changes what it names and nothing else', async () => {
    const { operations } = await open();
    const { id } = await operations.insert({ operation: 'verify', actor: 'me', details: { done: 0 } });
    expect(await operations.update(id, { bytes: 2 ** 40, details: { done: 1 } })).toMatchObject({
      actor: 'me',
      bytes: 2 ** 40,
      details: { done: 1 },
      state: 'running',
    });
    expect(
      await operations.update(id, {
        state: 'finished',
        success: false,
        error: { code: 'cancelled', message: 'Stopped.', retryable: true },
        details: null,
        finishedAt: new Date(77),
        durationMs: 12,
      }),
    ).toMatchObject({
      state: 'finished',
      success: false,
      details: null,
      finishedAt: new Date(77),
      durationMs: 12,
    });
    expect(await operations.update(id, { error: null })).toMatchObject({ error: null, success: false });
    expect(await operations.update(id, {})).toEqual(await operations.get(id));
    expect(await operations.update('unknown', { bytes: 1 })).toBeNull();
  });

  test('the newest come first, and filters narrow rows and total alike', async () => {
    const { operations } = await open();
    const long = `/${'x'.repeat(600)}`;
    const rows = [
      finished(1_000, { operation: 'upload', file: '/a' }),
      finished(2_000, { operation: 'delete', file: '/a', success: false }),
      finished(3_000, { operation: 'upload', file: `${long}1` }),
      { ...finished(4_000, { operation: 'upload', file: `${long}2` }), success: null },
    ];
    await operations.insertMany(rows);
    const ids = async (filter: object): Promise<unknown[]> => {
      const page = await operations.list({ limit: 10, ...filter });
      expect(page.total).toBe(page.rows.length);
      return page.rows.map(({ id }) => rows.findIndex((row) => row.id === id));
    };
    expect(await ids({})).toEqual([3, 2, 1, 0]);
    expect(await ids({ operation: 'upload' })).toEqual([3, 2, 0]);
    expect(await ids({ file: '/a' })).toEqual([1, 0]);
    expect(await ids({ file: `${long}1` })).toEqual([2]);
    expect(await ids({ file: '/A' })).toEqual([]);
    expect(await ids({ success: true })).toEqual([2, 0]);
    expect(await ids({ success: false })).toEqual([1]);
    expect(await ids({ since: new Date(2_000) })).toEqual([3, 2, 1]);
    expect(await ids({ since: new Date(2_000), operation: 'upload', success: true })).toEqual([2]);
  });

  test('a list goes through 2,500 lines of few times exactly once, new ones arriving meanwhile', async () => {
    const { operations } = await open();
    const batch = Array.from({ length: 2_500 }, (_, index) => finished(1_000 + (index % 5)));
    await operations.insertMany(batch);
    const seen: Operation[] = [];
    let cursor: string | undefined;
    do {
      const page = await operations.list({ limit: 333, cursor });
      seen.push(...page.rows);
      await operations.insert(finished(9_000));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(seen).toHaveLength(2_500);
    expect(new Set(seen.map(({ id }) => id))).toEqual(new Set(batch.map(({ id }) => id)));
    const times = seen.map(({ startedAt }) => startedAt.getTime());
    expect(times).toEqual(times.toSorted((a, b) => b - a));
    await expect(operations.list({ limit: 1, cursor: '!' })).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ field: 'cursor' }],
    });
  });

  test('pruning removes the old ones, keeps the newest, and leaves running ones', async () => {
    const { operations } = await open();
    await operations.insertMany(Array.from({ length: 2_200 }, (_, index) => finished(index)));
    const running = await operations.insert({ operation: 'verify', startedAt: new Date(0) });
    expect(await operations.prune({ olderThan: new Date(0), keepAtMost: 10_000 })).toBe(0);
    expect(await operations.prune({ olderThan: new Date(100), keepAtMost: 10_000 })).toBe(100);
    expect(await operations.prune({ olderThan: new Date(0), keepAtMost: 50 })).toBe(2_050);
    const { rows } = await operations.list({ limit: 100 });
    expect(rows.map(({ startedAt }) => startedAt.getTime())).toEqual([
      ...Array.from({ length: 50 }, (_, index) => 2_199 - index),
      0,
    ]);
    expect(rows.at(-1)?.id).toBe(running.id);
    expect(await operations.prune({ olderThan: new Date(0), keepAtMost: 0 })).toBe(50);
    expect((await operations.list({ limit: 1 })).total).toBe(1);
  });

  test('pruning at once by two hubs removes no more than one would', async () => {
    const { operations } = await open();
    await operations.insertMany(Array.from({ length: 300 }, (_, index) => finished(index)));
    const removed = await Promise.all(
      Array.from({ length: 4 }, () => operations.prune({ olderThan: new Date(0), keepAtMost: 100 })),
    );
    expect(removed.reduce((sum, count) => sum + count, 0)).toBe(200);
    expect((await operations.list({ limit: 1 })).total).toBe(100);
  });

  test('what a crash left running is failed with a reason, that of another hub is not', async () => {
    const { operations } = await open();
    const mine = await operations.insert({ operation: 'verify', hubId: 'mine', startedAt: new Date(1_000) });
    const nobodys = await operations.insert({ operation: 'upload', startedAt: new Date(9_000) });
    const others = await operations.insert({ operation: 'upload', hubId: 'other' });
    const done = await operations.insert(finished(5));
    expect(await operations.failInterrupted(new Date(4_000), 'mine')).toBe(2);
    expect(await operations.get(mine.id)).toMatchObject({
      state: 'finished',
      success: false,
      durationMs: 3_000,
      finishedAt: new Date(4_000),
      error: {
        code: 'internal',
        message: 'The hub stopped before the operation ended. Start it again.',
        retryable: true,
      },
    });
    expect((await operations.get(nobodys.id))?.durationMs).toBe(0);
    expect(await operations.get(others.id)).toEqual(others);
    expect(await operations.get(done.id)).toEqual(done);
    expect(await operations.failInterrupted(new Date(4_000))).toBe(1);
    expect(await operations.failInterrupted(new Date(4_000))).toBe(0);
  });
});
