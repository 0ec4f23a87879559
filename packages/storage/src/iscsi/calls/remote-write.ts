import { cancellationOf, throwIfCancelled } from '@holdfast/bytes/cancellation';
import type { StorageEntry, WriteOptions } from '../../backend.ts';
import type { Caller } from './caller.ts';
import { jsonPayload } from './frames.ts';
import { methods } from './methods.ts';
import type { ParamsOf, ResultOf } from './methods.ts';
import { SourcePump } from './source-pump.ts';

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
