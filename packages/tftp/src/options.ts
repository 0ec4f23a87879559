import type { TftpOption } from './packets.ts';

/** How the bytes of a file go on the wire (RFC 1350 §1). */
export type TransferMode = 'octet' | 'netascii';

/** What a server grants at most. */
export interface OptionLimits {
  /** Bytes. 1468 keeps a packet within an Ethernet frame of 1500, so that it is not fragmented. */
  maxBlksize: number;
  /** Bytes of one window. Beyond about 128 KiB the socket buffers of clients overflow and throughput collapses. */
  maxWindowBytes: number;
}

/** What client and server agreed on. */
export interface Negotiated {
  /** Bytes of payload in every block but the last one. */
  blksize: number;
  /** Blocks that are sent before an ACK is waited for. */
  windowsize: number;
  /** The retransmission timeout that the client asked for in milliseconds, or undefined. */
  timeoutMs: number | undefined;
  /** What the OACK says, in the order of the request. Empty: no OACK, the transfer starts with block 1. */
  accepted: TftpOption[];
}

/** RFC 1350 §2. */
const DEFAULT_BLKSIZE = 512;
/**
 * Blocks of one window at most: 64 KiB of blocks of 512. Tiny blocks cost a receiver's socket buffer far more than
 * their bytes (Linux counts at least 768 for each packet).
 */
export const MAX_WINDOW_BLOCKS = 128;

/**
 * Answers the options of a request: blksize (RFC 2348, 8–65464), timeout and tsize (RFC 2349), windowsize (RFC 7440,
 * 1–65535). Names are case-insensitive, the first of equal names counts; what is unknown or out of its range is
 * left out of the answer, as RFC 2347 asks. The answered blksize and windowsize may be smaller than the asked ones.
 *
 * @param size bytes on the wire, or null when they are not known before the end (netascii): then tsize is left out.
 */
export function negotiate(
  asked: readonly TftpOption[],
  size: number | null,
  limits: OptionLimits,
): Negotiated {
  const first = new Map<string, string>();
  for (const { name, value } of asked) {
    const key = name.toLowerCase();
    if (!first.has(key)) first.set(key, value);
  }

  const askedBlksize = inRange(first.get('blksize'), 8, 65464);
  const blksize = Math.min(askedBlksize ?? DEFAULT_BLKSIZE, limits.maxBlksize);
  const askedWindow = inRange(first.get('windowsize'), 1, 65535);
  const mostBlocks = Math.min(MAX_WINDOW_BLOCKS, Math.max(1, Math.floor(limits.maxWindowBytes / blksize)));
  const windowsize = Math.min(askedWindow ?? 1, mostBlocks);
  const seconds = inRange(first.get('timeout'), 1, 255);

  const answers = new Map<string, number | undefined>([
    ['blksize', askedBlksize === undefined ? undefined : blksize],
    ['windowsize', askedWindow === undefined ? undefined : windowsize],
    ['timeout', seconds],
    // A client that reads sends 0; any number is taken, as the answer is the same.
    [
      'tsize',
      inRange(first.get('tsize'), 0, Number.MAX_SAFE_INTEGER) === undefined ? undefined : (size ?? undefined),
    ],
  ]);
  const accepted: TftpOption[] = [];
  for (const name of first.keys()) {
    const answer = answers.get(name);
    if (answer !== undefined) accepted.push({ name, value: String(answer) });
  }
  return { blksize, windowsize, timeoutMs: seconds === undefined ? undefined : seconds * 1000, accepted };
}

/** The mode of a request, or undefined when it is not served (`mail` is obsolete since RFC 1350). */
export function transferMode(mode: string): TransferMode | undefined {
  return mode === 'octet' || mode === 'netascii' ? mode : undefined;
}

/** A decimal number within a range, or undefined. */
function inRange(value: string | undefined, lowest: number, highest: number): number | undefined {
  if (value === undefined || !/^\d{1,16}$/.test(value)) return undefined;
  const number = Number(value);
  return number >= lowest && number <= highest ? number : undefined;
}
