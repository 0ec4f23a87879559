import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { isHoldfastError } from '@holdfast/contract/errors';
import { RandomContent } from '@holdfast/test-support/random-file';
import type { ProxyDirection } from '@holdfast/test-support/tcp-proxy';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { expectContent, MIB, sourceOf } from './testing/contents.ts';
import { makeTestShare } from './testing/test-share.ts';
import type { TestShare } from './testing/test-share.ts';

const directions: ProxyDirection[] = ['toServer', 'toClient'];

describe.each(['4' as const, '3' as const])('one byte that is changed on its way, by NFSv%s', (protocols) => {
  let share: TestShare;
  beforeAll(async () => {
    share = await makeTestShare({ protocols, timeLimitMs: 1000 });
  });
  afterAll(async () => {
    await share[Symbol.asyncDispose]();
  });

  /** An act ends well or with a plain error, whatever was changed. */
  async function endsPlainly(act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      if (!isHoldfastError(error) || error.code === 'internal') throw error;
      return false;
    }
  }

  /** Changes a byte in the course of an act, or after it when the act has ended before its place. */
  async function flipIn(
    direction: ProxyDirection,
    afterBytes: number,
    mask: number,
    act: () => Promise<unknown>,
  ): Promise<boolean> {
    let isFlipped = false;
    const flipped = share.proxy.flipByte({ direction, afterBytes, mask }).then(() => {
      isFlipped = true;
    });
    const isDone = await endsPlainly(act);
    while (!isFlipped) await endsPlainly(() => share.backend.list(ROOT));
    await flipped;
    return isDone;
  }

  it.each(directions)(
    '%s, in the bytes of a large file: it is never published with other bytes',
    async (direction) => {
      const content = new RandomContent(`content ${direction}`, 24 * MIB);
      const path = parseBackendPath(`/large-${direction}`);
      for (const [round, afterBytes] of [3 * MIB + 17, 9 * MIB + 5, 20 * MIB].entries()) {
        const flipped = share.proxy.flipByte({ direction, afterBytes, mask: 1 << (round * 3) });
        const isWritten = await endsPlainly(() => share.backend.write(path, sourceOf(content)));
        await flipped;
        if (isWritten) await expectContent(share.backend, path, content);
        else if (round === 0) expect(existsSync(share.onDisk(path))).toBe(false);
        // It was changed on its way back only, or the whole request was refused and sent again; else it is not there.
        expect(isWritten || direction === 'toServer').toBe(true);
      }
      expect((await share.backend.write(path, sourceOf(content))).sha256).toBe(content.sha256());
      await expectContent(share.backend, path, content);
    },
  );

  it.each(directions)(
    '%s, anywhere in the requests of a small write: the file is right, or not there',
    async (direction) => {
      const [before, after] = [sampleBytes(300, 1), sampleBytes(300, 2)];
      const start = share.proxy.bytes[direction];
      await share.backend.write(parseBackendPath('/measured/file'), chunksOf(before));
      const span = share.proxy.bytes[direction] - start;
      const outcomes = new Set<boolean>();
      for (let at = 0, round = 0; at < span; at += 61, round += 1) {
        const path = parseBackendPath(`/small-${direction}/${round}`);
        await share.backend.write(path, chunksOf(before));
        const mask = round % 2 === 0 ? 0xff : 0x04;
        outcomes.add(await flipIn(direction, at, mask, () => share.backend.write(path, chunksOf(after))));
        const stored = await readFile(share.onDisk(path));
        expect(stored.equals(before) || stored.equals(after)).toBe(true);
      }
      expect(outcomes).toContain(true);
    },
  );

  it.each(directions)(
    '%s, anywhere in looking, listing and reading: right, or a plain error',
    async (direction) => {
      const bytes = sampleBytes(2000, 3);
      const folder = parseBackendPath(`/read-${direction}`);
      const path = parseBackendPath(`${folder}/file`);
      const { entry } = await share.backend.write(path, chunksOf(bytes));
      const acts: (() => Promise<void>)[] = [
        async () => expect((await share.backend.stat(path)).type).toBe('file'),
        async () => expect((await share.backend.list(folder)).entries.length).toBeLessThanOrEqual(1),
        async () => void (await bytesAt(share.backend, path)),
      ];
      for (const act of acts) {
        const start = share.proxy.bytes[direction];
        await act();
        const span = share.proxy.bytes[direction] - start;
        for (let at = 0; at < span; at += 23) {
          await flipIn(direction, at, 0xff, act);
        }
      }
      expect(await share.backend.stat(path)).toEqual(entry);
      expect((await share.backend.list(folder)).entries).toEqual([entry]);
      expect(await bytesAt(share.backend, path)).toEqual(bytes);
    },
  );
});
