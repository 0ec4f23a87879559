import type { Output } from './output.ts';
import { barLine } from './progress-bar.ts';
import type { ProgressState } from './progress-bar.ts';
import { humanBytes, printable } from './format.ts';

const redrawMs = 100;
const lineMs = 10_000;

/** A bar on a terminal, a line every 10 s elsewhere; silent with --json and --quiet. Always on standard error. */
export class Progress implements Disposable {
  readonly #output: Output;
  readonly #now: () => number;
  #shownAt: number;
  #isDrawn = false;

  /** @param now milliseconds of a clock that never goes back */
  constructor(output: Output, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
    this.#shownAt = output.terminal.isErrorTty ? Number.NEGATIVE_INFINITY : now();
  }

  update(state: ProgressState): void {
    const { terminal, mode } = this.#output;
    if (mode !== 'human') return;
    const now = this.#now();
    const isDone = state.totalBytes !== null && state.bytes >= state.totalBytes;
    const shown = { ...state, label: printable(state.label) };
    if (terminal.isErrorTty) {
      if (now - this.#shownAt < redrawMs && !isDone) return;
      const line = barLine(shown, terminal.columns() - 1);
      terminal.stderr.write(`\r\u001B[K${terminal.paintError('cyan', line)}`);
      this.#isDrawn = true;
    } else {
      if (now - this.#shownAt < lineMs) return;
      const total = state.totalBytes === null ? '' : ` of ${humanBytes(state.totalBytes)}`;
      terminal.stderr.write(
        `${shown.label}: ${humanBytes(state.bytes)}${total}, ${humanBytes(state.bytesPerSecond)}/s\n`,
      );
    }
    this.#shownAt = now;
  }

  /** Says something above the bar. */
  say(text: string): void {
    this.clear();
    this.#output.note(text);
  }

  /** Takes the bar away, so that other lines can follow. */
  clear(): void {
    if (this.#isDrawn) this.#output.terminal.stderr.write('\r\u001B[K');
    this.#isDrawn = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
