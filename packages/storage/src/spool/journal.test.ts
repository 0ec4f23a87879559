import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { appendFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { Journal } from './journal.ts';

it('gives back after a restart what was appended, in order, also by many at once', async () => {
  await using folder = await makeTempDir('journal');
  const path = folder.join('journal');
  {
    await using journal = new Journal(path);
    expect(await journal.read()).toEqual([]);
    await Promise.all([journal.append({ first: 1 }), journal.append([2]), journal.append('three')]);
  }
  await using again = new Journal(path);
  await again.append({ fourth: null });
  expect(await again.read()).toEqual([{ first: 1 }, [2], 'three', { fourth: null }]);
});

it('passes over a record that was cut off, and keeps those behind it', async () => {
  await using folder = await makeTempDir('journal');
  const path = folder.join('journal');
  await using journal = new Journal(path);
  await journal.append({ first: 1 });
  await appendFile(path, '\n{"cut":"o');
  await journal.append({ last: 2 });
  await appendFile(path, Buffer.alloc(100));
  await journal.append({ behind: 3 });
  expect(await journal.read()).toEqual([{ first: 1 }, { last: 2 }, { behind: 3 }]);
});
