import { cancellationOf, throwIfCancelled } from '@holdfast/bytes/cancellation';
import { Turns } from '@holdfast/bytes/turns';
import type { Caller } from './caller.ts';
import type { MethodName, ParamsOf, ResultOf } from './methods.ts';
import { SourcePump } from './source-pump.ts';

/** Parts of all uploads that may be on their way to the other process: 32 MiB, however many uploads there are. */
const turns = new Turns(128);

export interface FeedOptions {
  label: string;
  signal?: AbortSignal | undefined;
  /** A source that breaks off, or a signal that fires, ends the bytes instead of the call. */
  keepPartial?: boolean | undefined;
}

/**
 * Feeds a source to a call that takes bytes. Errors of the source and the signal are thrown as they are; the call is waited
 * for in any case, so that nothing of it is left over.
 * @returns the result, and whether the source broke off (with `keepPartial`)
 */
export async function fedCall<Name extends MethodName>(
  caller: Caller,
  name: Name,
  params: ParamsOf<Name>,
  source: AsyncIterable<Uint8Array>,
  { label, signal, keepPartial }: FeedOptions,
): Promise<{ result: ResultOf<Name>; isBroken: boolean }> {
  throwIfCancelled(signal, label);
  const call = caller.begin(name, params);
  const pump = new SourcePump(caller, call.id, turns);
  let broken: { value: unknown } | undefined;
  const giveUp = (error: unknown): void => {
    broken ??= { value: error };
    pump.stop();
    void caller.send(keepPartial === true ? 'end' : 'cancel', call.id);
  };
  const onAbort = (): void => giveUp(cancellationOf(signal, label));
  signal?.addEventListener('abort', onAbort, { once: true });
  call.onCredit = (bytes) => pump.addCredit(bytes);
  // An answer that comes before the source has ended is a refusal: nothing more is asked of the source.
  const answered = caller.finish(name, call).finally(() => pump.stop());
  answered.catch(() => undefined);
  try {
    await pump.run(source).catch(giveUp);
    const result = await answered.catch((error: unknown) => {
      if (broken !== undefined && keepPartial !== true) throw broken.value;
      throw error;
    });
    // A call that ended well before it heard that it was called off has stored what came.
    if (broken !== undefined && keepPartial !== true) throw broken.value;
    return { result, isBroken: broken !== undefined };
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
