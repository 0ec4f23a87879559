import { mkdir, writeFile } from 'node:fs/promises';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { describe, expect, it } from 'vitest';
import { readJournal, writeJournal } from './file-journal.ts';
import type { FileJournal } from './file-journal.ts';

const journal: FileJournal = {
  version: 1,
  source: 'a file',
  remote: { size: 100, etag: '"one"' },
  inode: '12',
  ranges: [
    { start: 0, end: 10 },
    { start: 20, end: 100 },
  ],
};

describe('readJournal', () => {
  it('reads what was written', async () => {
    await using folder = await makeTempDir('journal');
    await writeJournal(folder.join('j'), journal);
    expect(await readJournal(folder.join('j'))).toEqual(journal);
  });

  it('takes nothing that cannot be right', async () => {
    await using folder = await makeTempDir('journal');
    const wrong = [
      { ...journal, version: 2 },
      { ...journal, ranges: [{ start: 0, end: 101 }] },
      { ...journal, ranges: [{ start: 5, end: 5 }] },
      { ...journal, ranges: [{ start: -1, end: 5 }] },
      { ...journal, ranges: journal.ranges.toReversed() },
      { ...journal, ranges: [journal.ranges[0], { start: 5, end: 30 }] },
    ];
    for (const text of ['', '{"version":1', '[]', ...wrong.map((each) => JSON.stringify(each))]) {
      await writeFile(folder.join('j'), text);
      expect(await readJournal(folder.join('j')), text).toBeUndefined();
    }
    await mkdir(folder.join('folder'));
    for (const name of ['folder', 'missing']) expect(await readJournal(folder.join(name))).toBeUndefined();
  });
});
