import { setFlagsFromString } from 'node:v8';

/** Those whose time goes into bytes that come from a hub. */
const downloading = new Set(['get', 'cat', 'cp', 'sync']);

/**
 * Tells V8, before anything else is loaded, what a download is like: its bytes come in buffers of 64 KiB of which the heap sees next to
 * nothing. Left alone, the space for young objects has grown before the first byte comes, and stays too large for dead buffers to
 * be found there; and 64 MiB of buffers begin a walk over the whole heap, however small that is. That was 40 % of the
 * processor time of a download (1 GiB over loopback: 52 walks, then 1; 5.0 s, then 3.2 s).
 */
export function expectShortLivedBuffers(args: readonly string[]): void {
  if (!args.some((arg) => downloading.has(arg))) return;
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--external-memory-accounted-in-global-limit');
}
