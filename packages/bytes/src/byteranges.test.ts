import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isHoldfastError } from '@holdfast/contract/errors';
import { planByteranges, randomBoundary } from './byteranges.ts';
import type { ByterangesPlan } from './byteranges.ts';

function render(plan: ByterangesPlan, file: Uint8Array): Buffer {
  const pieces = plan.parts.flatMap(({ header, range }) => [header, file.subarray(range.start, range.end)]);
  return Buffer.concat([...pieces, plan.trailer]);
}

test('two ranges are framed as in RFC 9110', () => {
  const file = Buffer.from('0123456789');
  const plan = planByteranges(
    [
      { start: 0, end: 2 },
      { start: 7, end: 10 },
    ],
    10,
    'text/plain',
    'THIS_STRING',
  );
  expect(plan.contentType).toBe('multipart/byteranges; boundary=THIS_STRING');
  expect(render(plan, file).toString()).toBe(
    [
      '--THIS_STRING',
      'Content-Type: text/plain',
      'Content-Range: bytes 0-1/10',
      '',
      '01',
      '--THIS_STRING',
      'Content-Type: text/plain',
      'Content-Range: bytes 7-9/10',
      '',
      '789',
      '--THIS_STRING--',
      '',
    ].join('\r\n'),
  );
});

test('the announced length is the length of the body, which an independent parser takes apart again', () => {
  const range = fc
    .tuple(fc.nat({ max: 199 }), fc.integer({ min: 1, max: 50 }))
    .map(([start, length]) => ({ start, end: Math.min(200, start + length) }));
  fc.assert(
    fc.property(
      fc.array(range, { minLength: 1, maxLength: 16 }),
      fc.uint8Array({ minLength: 200, maxLength: 200 }),
      (ranges, file) => {
        const boundary = randomBoundary();
        const plan = planByteranges(ranges, file.byteLength, 'application/octet-stream', boundary);
        const body = render(plan, file);
        expect(body.byteLength).toBe(plan.contentLength);
        const parts = `\r\n${body.toString('latin1')}`.split(`\r\n--${boundary}`);
        expect(parts.shift()).toBe('');
        expect(parts.pop()).toBe('--\r\n');
        expect(parts.map((part) => part.slice(part.indexOf('\r\n\r\n') + 4))).toEqual(
          ranges.map(({ start, end }) => Buffer.from(file.subarray(start, end)).toString('latin1')),
        );
      },
    ),
  );
});

test('boundaries differ and need no quotes', () => {
  expect(randomBoundary()).toMatch(/^[\w-]{24}$/);
  expect(randomBoundary()).not.toBe(randomBoundary());
});

test.each([
  ['application/octet-stream', 'a b'],
  ['application/octet-stream', ''],
  ['application/octet-stream', 'x'.repeat(71)],
  ['text/plain\r\nX-Evil: 1', 'b'],
  ['', 'b'],
])('content type %j with boundary %j would break the framing', (contentType, boundary) => {
  let thrown: unknown;
  try {
    planByteranges([{ start: 0, end: 1 }], 1, contentType, boundary);
  } catch (error) {
    thrown = error;
  }
  expect(isHoldfastError(thrown, 'internal')).toBe(true);
});
