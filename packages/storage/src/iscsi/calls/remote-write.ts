import { throwIfCancelled } from '@holdfast/bytes/durable-file';
import type { StorageEntry, WriteOptions } from '../../backend.ts';
import { cancellationOf } from '../cancellation.ts';
import type { Caller } from './caller.ts';
import { jsonPayload, MAX_PAYLOAD_BYTES } from './frames.ts';
import { methods } from './methods.ts';
import type { ParamsOf, ResultOf } from './methods.ts';

/**
 * Feeds a source to a `write` call as fast as the other side takes it. Every error of the source, the precondition and
 * the signal is thrown as it is; the call is waited for in any case, so that nothing of it is left over.
 */
export async function remoteWrite(
  caller: Caller,
  params: Omit<ParamsOf<'write'>, 'asks'>,
  source: AsyncIterable<Uint8Array>,
  options: Pick<WriteOptions, 'precondition' | 'signal'>,
): Promise<ResultOf<'write'>> {
  const { precondition, signal } = options;
  const label = `Writing ${params.path}`;
  throwIfCancelled(signal, label);
  const call = caller.begin('write', { ...params, asks: precondition !== undefined });
  const pump = new SourcePump(caller, call.id);
  let ownError: { value: unknown } | undefined;
  const giveUp = (error: unknown): void => {
    ownError ??= { value: error };
    pump.stop();
    void caller.send('cancel', call.id);
  };
  const onAbort = (): void => giveUp(cancellationOf(signal, label));
  signal?.addEventListener('abort', onAbort, { once: true });
  call.onCredit = (bytes) => pump.addCredit(bytes);
  call.onAsk = (existing) => {
    void consult(precondition, existing).then(
      () => caller.send('answer', call.id, jsonPayload({ go: true })),
      (error: unknown) => {
        ownError ??= { value: error };
        return caller.send('answer', call.id, jsonPayload({ go: false }));
      },
    );
  };
  // An answer that comes before the source has ended is a refusal: nothing more is asked of the source.
  const answered = call.answered.finally(() => pump.stop());
  answered.catch(() => undefined);
  try {
    await pump.run(source).catch(giveUp);
    const payload = await answered.catch((error: unknown) => {
      if (ownError !== undefined) throw ownError.value;
      throw error;
    });
    const result: unknown = JSON.parse(payload.toString());
    return methods.write.result.parse(result);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function consult(
  precondition: WriteOptions['precondition'],
  existing: StorageEntry | null,
): Promise<void> {
  await precondition?.(existing);
}

/** Sends a source as fast as the other side gives credit, until its end or until it is stopped. */
class SourcePump {
  readonly #caller: Caller;
  readonly #call: number;
  #credit = 0;
  #isStopped = false;
  #wake: (() => void) | undefined;

  constructor(caller: Caller, call: number) {
    this.#caller = caller;
    this.#call = call;
  }

  addCredit(bytes: number): void {
    this.#credit += bytes;
    this.#wake?.();
  }

  /** Ends the run; a source that is stuck is not waited for. */
  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
  }

  /** Throws the source's own error. */
  async run(source: AsyncIterable<Uint8Array>): Promise<void> {
    // A write that is refused at once leaves its source untouched.
    await this.#creditOrStop();
    const iterator = source[Symbol.asyncIterator]();
    let isReading = false;
    try {
      while (!this.#isStopped) {
        isReading = true;
        const reading = iterator.next().finally(() => (isReading = false));
        const step = await this.#unlessStopped(reading);
        if (step === undefined) return;
        if (step.done === true) {
          await this.#caller.send('end', this.#call);
          return;
        }
        await this.#sendChunk(step.value);
      }
    } finally {
      const closing = Promise.resolve(iterator.return?.()).catch(() => undefined);
      // A generator that hangs in `next` runs its `return` only after that: such a source is left to its owner.
      if (!isReading) await closing;
    }
  }

  async #sendChunk(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.byteLength; at += MAX_PAYLOAD_BYTES) {
      await this.#creditOrStop();
      if (this.#isStopped) return;
      const part = chunk.subarray(at, at + MAX_PAYLOAD_BYTES);
      this.#credit -= part.byteLength;
      await this.#caller.send('bytes', this.#call, part);
    }
  }

  async #creditOrStop(): Promise<void> {
    while (this.#credit <= 0 && !this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** A promise of its own for every step: reactions on one long promise would pile up with every chunk. */
  #unlessStopped<T>(step: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#wake = () => {
        if (this.#isStopped) resolve(undefined);
      };
      step.then(resolve, reject);
    });
  }
}
