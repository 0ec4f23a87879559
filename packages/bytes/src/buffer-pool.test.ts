import { expect, test } from 'vitest';
import { BufferPool, TRANSFER_BUFFER_BYTES } from './buffer-pool.ts';

test('a buffer that came back is lent again', () => {
  const pool = new BufferPool();
  const first = pool.take();
  expect(first.byteLength).toBe(TRANSFER_BUFFER_BYTES);
  const second = pool.take();
  expect(second).not.toBe(first);
  pool.give(first);
  expect(pool.take()).toBe(first);
  expect(pool.allocated).toBe(2);
});

test('no more than maxIdle buffers are kept', () => {
  const pool = new BufferPool({ bufferBytes: 16, maxIdle: 2 });
  const buffers = [pool.take(), pool.take(), pool.take()];
  for (const buffer of buffers) pool.give(buffer);
  expect(pool.idle).toBe(2);
});

test('a buffer cannot come back twice, nor a foreign one', () => {
  const pool = new BufferPool({ bufferBytes: 16 });
  const buffer = pool.take();
  pool.give(buffer);
  expect(() => pool.give(buffer)).toThrow(RangeError);
  expect(() => pool.give(Buffer.alloc(8))).toThrow(RangeError);
  expect(pool.idle).toBe(1);
});
