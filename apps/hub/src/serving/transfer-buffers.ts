import { BufferPool, transferBuffers } from '@holdfast/bytes/buffer-pool';

/** Up to so many transfers at once get large buffers: two of 512 KiB each are fastest. */
const FEW_TRANSFERS = 8;
/** Many transfers share the processor anyway; smaller buffers keep a rack of them within a few MiB. */
const smallBuffers = new BufferPool({ bufferBytes: 128 * 1024, maxIdle: 64 });

/** The buffers for a transfer that starts while `active` others are running. */
export function buffersFor(active: number): BufferPool {
  return active < FEW_TRANSFERS ? transferBuffers : smallBuffers;
}
