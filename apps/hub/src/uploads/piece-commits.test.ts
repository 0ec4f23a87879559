import { describe, expect, it } from 'vitest';
import type { NewPiece, PieceAnswer } from '@holdfast/catalog/uploads';
import { PieceCommits } from './piece-commits.ts';

function piece(num: number): NewPiece {
  return { uploadId: 'u', num, position: num, bytes: 1, sha256: 'a'.repeat(64), receipt: null };
}

function answer(receivedPieces: number): PieceAnswer {
  return { kind: 'added', receivedBytes: receivedPieces, receivedPieces, receipt: null };
}

interface Transaction {
  nums: number[];
  commit(): void;
  fail(error: Error): void;
}

/** Commits that end when the test says so. */
function makeCommits(): { commits: PieceCommits; begun: Transaction[] } {
  const begun: Transaction[] = [];
  const commits = new PieceCommits((pieces) => {
    const { promise, resolve, reject } = Promise.withResolvers<PieceAnswer[]>();
    const nums = pieces.map(({ num }) => num);
    begun.push({ nums, commit: () => resolve(nums.map(answer)), fail: reject });
    return promise;
  });
  return { commits, begun };
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('PieceCommits', () => {
  it('commits together what comes while a transaction runs', async () => {
    const { commits, begun } = makeCommits();
    const first = commits.add(piece(0));
    await settled();
    const others = [1, 2, 3].map((num) => commits.add(piece(num)));
    await settled();
    expect(begun.map(({ nums }) => nums)).toEqual([[0]]);
    begun[0]?.commit();
    expect(await first).toEqual(answer(0));
    await settled();
    expect(begun.map(({ nums }) => nums)).toEqual([[0], [1, 2, 3]]);
    begun[1]?.commit();
    expect(await Promise.all(others)).toEqual([answer(1), answer(2), answer(3)]);
  });

  it('acknowledges nothing before its own transaction has ended', async () => {
    const { commits, begun } = makeCommits();
    const acknowledged: number[] = [];
    void commits.add(piece(0)).then(() => acknowledged.push(0));
    await settled();
    void commits.add(piece(1)).then(() => acknowledged.push(1));
    begun[0]?.commit();
    await settled();
    expect(acknowledged).toEqual([0]);
    begun[1]?.commit();
    await settled();
    expect(acknowledged).toEqual([0, 1]);
  });

  it('tells a failed transaction to those who were in it, and goes on with the others', async () => {
    const { commits, begun } = makeCommits();
    const failing = [commits.add(piece(0)), commits.add(piece(1))];
    await settled();
    const later = commits.add(piece(2));
    begun[0]?.fail(new Error('the disk is full'));
    await Promise.all(failing.map((one) => expect(one).rejects.toThrow('the disk is full')));
    await settled();
    begun[1]?.commit();
    expect(await later).toEqual(answer(2));
  });

  it('keeps a transaction short however many wait', async () => {
    const { commits, begun } = makeCommits();
    const all = Array.from({ length: 1200 }, (_, num) => commits.add(piece(num)));
    for (let round = 0; round < 3; round += 1) {
      await settled();
      begun[round]?.commit();
    }
    await Promise.all(all);
    expect(begun.map(({ nums }) => nums.length)).toEqual([500, 500, 200]);
  });
});
