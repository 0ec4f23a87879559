import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FolderCount } from './folder-count.ts';
import { compareBytes } from './key-pages.ts';

const key = fc
  .array(fc.constantFrom('a', 'b', 'a-', 'ab', '\u{1f600}'), { minLength: 1, maxLength: 4 })
  .map((segments) => segments.join('/'));

it('counts every folder of sorted keys once', () => {
  fc.assert(
    fc.property(fc.uniqueArray(key), (keys) => {
      const folders = new Set(
        keys.flatMap((name) => {
          const segments = name.split('/').slice(0, -1);
          return segments.map((_, index) => segments.slice(0, index + 1).join('/'));
        }),
      );
      const counted = new FolderCount();
      for (const name of keys.toSorted(compareBytes)) counted.see(name);
      expect(counted.count).toBe(folders.size);
    }),
  );
});
