import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { TempDir } from '@holdfast/test-support/temp-dir';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { refusal } from '../conformance/subject.ts';
import { Spool } from './spool.ts';
import type { SpoolOptions } from './spool.ts';

let folder: TempDir;
beforeEach(async () => {
  folder = await makeTempDir('spool');
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

const doing = 'Receiving bytes of an upload';

function spool(options: Partial<SpoolOptions> = {}): Spool {
  return new Spool({
    folder: folder.join('spool'),
    limitBytes: 100,
    keepFreeBytes: 0,
    waitMs: 1,
    ...options,
  });
}

describe('Spool', () => {
  it('has no more room than its limit, and tells so in words', async () => {
    const full = spool();
    await full.take(60, { doing });
    const busy = await refusal(full.take(41, { doing }), 'busy');
    expect(busy).toMatchObject({ status: 503, retryable: true });
    await full.take(40, { doing });
    expect(full.used).toBe(100);
    await refusal(full.take(101, { doing }), 'too_large');
  });

  it('has no more room than the disk', async () => {
    const full = spool({ keepFreeBytes: Number.MAX_SAFE_INTEGER });
    await refusal(full.take(1, { doing }), 'busy');
  });

  it('lets those who wait in as soon as there is room, in the order in which they came', async () => {
    const full = spool({ waitMs: 60_000 });
    await full.take(100, { doing });
    const order: string[] = [];
    const large = full.take(80, { doing }).then(() => order.push('large'));
    const small = full.take(10, { doing }).then(() => order.push('small'));
    full.give(50);
    expect(order).toEqual([]);
    full.give(50);
    await Promise.all([large, small]);
    expect(order).toEqual(['large', 'small']);
    expect(full.used).toBe(90);
  });

  it('lets a caller go that does not want to wait any more, and those behind it in', async () => {
    const full = spool({ waitMs: 60_000 });
    await full.take(90, { doing });
    const stop = new AbortController();
    const large = full.take(80, { doing, signal: stop.signal });
    const small = full.take(10, { doing });
    stop.abort();
    await refusal(large, 'cancelled');
    await small;
    expect(full.used).toBe(100);
  });

  it('lets bytes go that are only kept for convenience, the oldest first, when somebody needs their room', async () => {
    const full = spool();
    await full.take(100, { doing });
    const dropped: string[] = [];
    const keep = (name: string): (() => void) =>
      full.allowEviction(() => {
        dropped.push(name);
        full.give(25);
      });
    keep('first');
    const forbid = keep('in use');
    keep('third');
    forbid();
    await full.take(20, { doing });
    expect(dropped).toEqual(['first']);
    await full.take(20, { doing });
    expect(dropped).toEqual(['first', 'third']);
    await refusal(full.take(20, { doing }), 'busy');
  });

  it('knows after a restart what each upload has there, and gives it back with the upload', async () => {
    const first = spool();
    await first.addUpload('a');
    await writeFile(`${first.folderOf('a')}/part-1`, Buffer.alloc(70));
    await writeFile(folder.join('spool/left-over.tmp'), 'x');
    await mkdir(folder.join('spool/not an upload'));
    const second = spool();
    expect((await second.uploads()).map(({ id }) => id)).toEqual(['a']);
    expect(second.used).toBe(70);
    await refusal(second.take(31, { doing }), 'busy');
    await second.take(30, { doing, owner: 'a' });
    await second.removeUpload('a');
    await second.removeUpload('a');
    expect(second.used).toBe(0);
    expect(await readdir(folder.join('spool'))).toEqual(['not an upload']);
  });

  it('has files without a name, which nothing is left of', async () => {
    const some = spool();
    const file = await some.newFile();
    expect(await readdir(folder.join('spool'))).toEqual([]);
    await file.writeAt(Buffer.from('defgh'), 3);
    await file.writeAt(Buffer.from('abc'), 0);
    const read: Buffer[] = [];
    for await (const chunk of file.chunks(1, 7)) read.push(chunk);
    expect(Buffer.concat(read).toString()).toBe('bcdefg');
    await refusal(Array.fromAsync(file.chunks(0, 9)), 'file_not_found');
    await file[Symbol.asyncDispose]();
  });
});
