import { describe, expect, it } from 'vitest';
import { parseState, shapeOf } from './staged-state.ts';

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

describe('shapeOf', () => {
  it.each([
    ['one chunk, however small', 10, 100, { mode: 'single' }],
    ['no bytes', 0, 100, { mode: 'single' }],
    ['chunks that S3 takes', 100 * MIB, 5 * MIB, { mode: 'parts' }],
    ['smaller chunks', 100 * MIB, 4 * MIB, { mode: 'spooled', isMultipart: true, plannedSize: 100 * MIB }],
    [
      'smaller chunks of one part',
      8 * MIB,
      MIB,
      { mode: 'spooled', isMultipart: false, plannedSize: 8 * MIB },
    ],
    [
      'more chunks than S3 has parts',
      100 * GIB,
      8 * MIB,
      { mode: 'spooled', isMultipart: true, plannedSize: 100 * GIB },
    ],
    [
      'chunks that are larger than there is room for',
      100 * GIB,
      2 * GIB,
      { mode: 'spooled', isMultipart: true, plannedSize: 100 * GIB },
    ],
    ['pieces of any length', 9 * MIB, null, { mode: 'spooled', isMultipart: true, plannedSize: 9 * MIB }],
    ['an unknown size', null, null, { mode: 'spooled', isMultipart: true, plannedSize: null }],
  ] as const)('of %s', (_what, size, chunkSize, shape) => {
    expect(shapeOf({ size, chunkSize }, GIB)).toEqual(shape);
  });

  it('refuses what S3 has no room for', () => {
    expect(() => shapeOf({ size: 6 * 1024 ** 4, chunkSize: GIB }, GIB)).toThrow(/5 TiB/);
  });
});

describe('parseState', () => {
  it('takes what create answers, and nothing else', () => {
    const state = { mode: 'spooled', hub_id: 'hub-1', planned_size: null, upload_id: 'x' };
    expect(parseState(state)).toEqual(state);
    expect(() => parseState({ mode: 'parts' })).toThrow(/Begin it anew/);
  });
});
