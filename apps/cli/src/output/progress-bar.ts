import { humanBytes, humanSeconds } from './format.ts';

/** How far a transfer is. */
export interface ProgressState {
  label: string;
  bytes: number;
  /** Null: not known. */
  totalBytes: number | null;
  bytesPerSecond: number;
  etaSeconds: number | null;
  /** Chunks done and of how many; left out where there are none. */
  chunks?: number;
  totalChunks?: number;
  /** What it is doing when it is not sending: `hashing`, `verifying`. */
  phase?: string;
}

/** The line of a bar, at most `width` columns of plain text: label, bar, per cent, size, rate, time left, chunks. */
export function barLine(state: ProgressState, width: number): string {
  const { bytes, totalBytes } = state;
  const part = totalBytes === null ? null : totalBytes === 0 ? 1 : Math.min(1, bytes / totalBytes);
  const facts = [
    ...(part === null ? [] : [`${Math.floor(part * 100)}%`.padStart(4)]),
    totalBytes === null ? humanBytes(bytes) : `${humanBytes(bytes)} / ${humanBytes(totalBytes)}`,
    `${humanBytes(state.bytesPerSecond)}/s`,
    ...(state.etaSeconds === null ? [] : [`ETA ${humanSeconds(state.etaSeconds)}`]),
    ...(state.totalChunks === undefined ? [] : [`chunk ${state.chunks ?? 0}/${state.totalChunks}`]),
    ...(state.phase === undefined ? [] : [state.phase]),
  ].join('  ');
  const room = width - facts.length - 3;
  if (room < 8) return facts.slice(0, Math.max(0, width));
  const barWidth = part === null ? 0 : Math.min(30, Math.floor(room / 2));
  const label = fitLabel(state.label, room - (barWidth === 0 ? 0 : barWidth + 3));
  const filled = part === null ? 0 : Math.floor(part * barWidth);
  const bar = barWidth === 0 ? '' : ` [${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}]`;
  return `${label}${bar}  ${facts}`.slice(0, Math.max(0, width));
}

function fitLabel(label: string, width: number): string {
  if (label.length <= width) return label.padEnd(Math.min(width, 24));
  return width < 2 ? '' : `…${label.slice(label.length - width + 1)}`;
}
