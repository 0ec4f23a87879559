import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { listOf, pageQuery, success } from './envelope.ts';
import { displayName, queryBoolean, timeInput } from './fields.ts';

describe('the page of a list', () => {
  it('is 100 entries from the start when nothing is said', () => {
    expect(pageQuery.parse({})).toEqual({ limit: 100 });
  });

  it.each([
    ['1', 1],
    ['1000', 1000],
    [25, 25],
  ])('takes limit %j', (limit, expected) => {
    expect(pageQuery.parse({ limit }).limit).toBe(expected);
  });

  it.each(['0', '1001', '-1', '1.5', 'ten', '', '1e9', ['5', '6']])('refuses limit %j', (limit) => {
    expect(pageQuery.safeParse({ limit }).success).toBe(false);
  });
});

describe('a yes or no in a query', () => {
  it.each([
    ['true', true],
    ['1', true],
    [true, true],
    ['false', false],
    ['0', false],
    [false, false],
  ])('takes %j', (text, expected) => {
    expect(queryBoolean.parse(text)).toBe(expected);
  });

  it.each(['', 'yes', 'TRUE', '2', 1, null])('refuses %j', (text) => {
    expect(queryBoolean.safeParse(text).success).toBe(false);
  });
});

describe('a time in a request', () => {
  it('comes out in UTC', () => {
    expect(timeInput.parse('2026-03-01T12:00:00+02:00')).toBe('2026-03-01T10:00:00.000Z');
  });

  it.each(['2026-03-01', '2026-02-30T00:00:00Z', '12:00', '2026-03-01T12:00:00'])('refuses %j', (text) => {
    expect(timeInput.safeParse(text).success).toBe(false);
  });
});

describe('a name', () => {
  it('loses the blanks around it and counts without them', () => {
    expect(displayName.parse('  rack 1 ')).toBe('rack 1');
    expect(displayName.safeParse('   ').success).toBe(false);
    expect(displayName.safeParse('x'.repeat(101)).success).toBe(false);
  });

  it('refuses control characters and halves of surrogate pairs', () => {
    expect(displayName.safeParse('a\nb').success).toBe(false);
    expect(displayName.safeParse('a\u{d800}b').success).toBe(false);
  });
});

describe('the envelopes', () => {
  it('carry data, and the total of a list', () => {
    expect(success(z.int()).parse({ success: true, data: 1 })).toEqual({ success: true, data: 1 });
    const page = { success: true, data: [1, 2], total: 9, next_cursor: 'abc' };
    expect(listOf(z.int()).parse(page)).toEqual(page);
    expect(listOf(z.int()).safeParse({ success: true, data: [1] }).success).toBe(false);
    expect(success(z.int()).safeParse({ success: false, data: 1 }).success).toBe(false);
  });
});
