import type { CliOutput } from '@holdfast/contract/cli-output';
import { isHoldfastError } from '@holdfast/contract/errors';
import type { CommandContext } from '../context.ts';
import { exitCodeOf } from '../exit-codes.ts';
import { counted, humanBytes, printable } from '../output/format.ts';

type Transferred = CliOutput<'put'>;
export type TransferredFile = Transferred['files'][number];

/** Collects what became of each file of a transfer, and tells it. */
export class TransferReport {
  readonly #context: CommandContext;
  readonly #isDryRun: boolean;
  readonly #files: TransferredFile[] = [];

  constructor(context: CommandContext, isDryRun: boolean) {
    this.#context = context;
    this.#isDryRun = isDryRun;
  }

  /** A file that arrived, or that would. */
  add(file: Omit<TransferredFile, 'error'>): void {
    this.#files.push({ ...file, error: null });
  }

  /** A file that did not; the others go on. The command ends with the exit code of the first such failure. */
  fail(source: string, destination: string, error: unknown): void {
    const detail = error instanceof Error ? error.message : String(error);
    const code = isHoldfastError(error) ? error.code : 'internal';
    if (!this.#files.some(({ status }) => status === 'failed')) this.#context.endWith(exitCodeOf(error));
    this.#files.push({
      source,
      destination,
      bytes: null,
      sha256: null,
      status: 'failed',
      verified: false,
      error: { code, detail },
    });
    if (this.#context.output.mode !== 'json') this.#context.output.warn(`${printable(source)}: ${detail}`);
  }

  /** Prints the result of `put`, `get` or `cp`. */
  tell(name: 'put' | 'get' | 'cp', verb: string): void {
    const { output } = this.#context;
    const good = this.#files.filter(({ status }) => status !== 'failed');
    const bytes = good.reduce((sum, file) => sum + (file.bytes ?? 0), 0);
    output.result(name, { dry_run: this.#isDryRun, bytes, files: this.#files }, () => {
      const would = this.#isDryRun ? 'would be ' : '';
      const [only] = good;
      if (this.#isDryRun || good.length === 1) {
        for (const { source, destination } of good) {
          output.note(`${would}${verb}: ${printable(source)} -> ${printable(destination)}`);
        }
      }
      if (good.length > 1)
        output.note(`${would}${verb}: ${counted(good.length, 'file')}, ${humanBytes(bytes)}`);
      else if (only !== undefined && !this.#isDryRun) {
        const sum = only.sha256 === null ? '' : `, SHA-256 ${only.sha256}`;
        output.note(
          `${humanBytes(bytes)}${sum}${only.verified ? ', verified' : ', not verified: the hub knows no checksum'}`,
        );
      }
    });
  }
}
