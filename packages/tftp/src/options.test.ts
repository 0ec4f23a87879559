import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_WINDOW_BLOCKS, negotiate, transferMode } from './options.ts';

const limits = { maxBlksize: 1468, maxWindowBytes: 65536 };

function answer(asked: Record<string, string>, size: number | null = 1000): Record<string, string> {
  const list = Object.entries(asked).map(([name, value]) => ({ name, value }));
  return Object.fromEntries(negotiate(list, size, limits).accepted.map(({ name, value }) => [name, value]));
}

test.each([
  [
    'OVMF',
    { tsize: '0', blksize: '1468', windowsize: '4' },
    { tsize: '1000', blksize: '1468', windowsize: '4' },
  ],
  ['iPXE', { blksize: '1432', tsize: '0' }, { blksize: '1432', tsize: '1000' }],
  ['GRUB', { blksize: '1024', tsize: '0' }, { blksize: '1024', tsize: '1000' }],
  ['curl', { tsize: '0', blksize: '512', timeout: '6' }, { tsize: '1000', blksize: '512', timeout: '6' }],
])('the options of %s', (_, asked, answered) => {
  expect(answer(asked)).toEqual(answered);
});

test.each([
  ['no options', {}, {}],
  ['a larger block than allowed', { blksize: '8192' }, { blksize: '1468' }],
  ['the largest block there is', { blksize: '65464' }, { blksize: '1468' }],
  ['a block beyond the RFC', { blksize: '65465' }, {}],
  ['the smallest block', { blksize: '8' }, { blksize: '8' }],
  ['a block that is too small', { blksize: '7' }, {}],
  [
    'a window of 64 KiB at most',
    { blksize: '1468', windowsize: '64' },
    { blksize: '1468', windowsize: '44' },
  ],
  ['a window of blocks of 512', { windowsize: '65535' }, { windowsize: '128' }],
  ['a window of tiny blocks', { blksize: '8', windowsize: '65535' }, { blksize: '8', windowsize: '128' }],
  ['a window of nothing', { windowsize: '0' }, {}],
  ['a timeout out of range', { timeout: '256' }, {}],
  ['the longest timeout', { timeout: '255' }, { timeout: '255' }],
  ['an option that is not known', { multicast: '', utimeout: '1000', tsize: '0' }, { tsize: '1000' }],
  ['numbers that are none', { blksize: '0x200', windowsize: '-1', timeout: '1.5', tsize: '' }, {}],
  ['a tsize other than 0', { tsize: '77' }, { tsize: '1000' }],
])('%s', (_, asked, answered) => {
  expect(answer(asked)).toEqual(answered);
});

test('names are case-insensitive, the first of equal names counts, and the order is the request’s', () => {
  const asked = [
    { name: 'TSIZE', value: '0' },
    { name: 'BlkSize', value: '600' },
    { name: 'blksize', value: '700' },
  ];
  const { accepted, blksize } = negotiate(asked, 5, limits);
  expect(accepted).toEqual([
    { name: 'tsize', value: '5' },
    { name: 'blksize', value: '600' },
  ]);
  expect(blksize).toBe(600);
});

test('an unknown size leaves tsize out, and the size of an empty file is told', () => {
  expect(answer({ tsize: '0' }, null)).toEqual({});
  expect(answer({ tsize: '0' }, 0)).toEqual({ tsize: '0' });
});

test('a timeout is answered in seconds and used in milliseconds', () => {
  expect(negotiate([{ name: 'timeout', value: '3' }], 1, limits).timeoutMs).toBe(3000);
  expect(negotiate([], 1, limits).timeoutMs).toBeUndefined();
});

test('no request gets more than it asked for, nor more than the limits', () => {
  const value = fc.oneof(fc.nat({ max: 70000 }).map(String), fc.string());
  const name = fc.constantFrom('blksize', 'windowsize', 'timeout', 'tsize', 'BLKSIZE', 'x');
  fc.assert(
    fc.property(fc.array(fc.record({ name, value }), { maxLength: 8 }), (asked) => {
      const { blksize, windowsize, accepted } = negotiate(asked, 1, limits);
      expect(blksize).toBeLessThanOrEqual(limits.maxBlksize);
      expect(blksize * windowsize).toBeLessThanOrEqual(limits.maxWindowBytes);
      expect(windowsize).toBeLessThanOrEqual(MAX_WINDOW_BLOCKS);
      for (const { name: answered, value: granted } of accepted) {
        const wanted = asked.find((option) => option.name.toLowerCase() === answered)?.value;
        if (answered !== 'tsize') expect(Number(granted)).toBeLessThanOrEqual(Number(wanted));
      }
    }),
  );
});

test('only octet and netascii are modes of a transfer', () => {
  expect([transferMode('octet'), transferMode('netascii'), transferMode('mail')]).toEqual([
    'octet',
    'netascii',
    undefined,
  ]);
});
