import { throwIfCancelled } from '@holdfast/bytes/cancellation';
import { HoldfastError } from '@holdfast/contract/errors';
import { lookup } from 'node:dns/promises';
import type { Capabilities, ProbeCheck, ProbeReport } from '../../backend.ts';
import { fileOperations } from '../../iscsi/file-operations.ts';
import type { NfsSettings } from '../config.ts';
import type { NfsBackend } from '../direct.ts';
import { mountSource } from './mount-command.ts';
import { ShareHolder } from './share-holder.ts';
import type { ShareHolderOptions } from './share-holder.ts';

/** As a local tree. */
const kernelCapabilities: Capabilities = {
  writable: true,
  move: true,
  copy: true,
  folders: true,
  usage: true,
  positionalRead: true,
};

export interface KernelBackendOptions extends ShareHolderOptions {
  volumeId: string;
  ownerId: string;
}

/** A backend of mode `kernel`, and the mount itself for whoever wants to try it first. */
export interface KernelBackend extends NfsBackend {
  /** @throws HoldfastError see `mountError` */
  mount(): Promise<void>;
}

/**
 * A share that the kernel mounts, used as a local tree by a process of its own, in a mount namespace of its own. It is
 * mounted when it is first used, again when its server has been given up, and unmounted when the backend is disposed.
 */
export function createKernelBackend(settings: NfsSettings, options: KernelBackendOptions): KernelBackend {
  const { volumeId, ownerId } = options;
  const holder = new ShareHolder(settings, options);
  const files = fileOperations((signal) => holder.caller(signal), { volumeId, ownerId });
  return {
    ...files,
    type: 'nfs',
    capabilities: kernelCapabilities,
    mount: async () => void (await holder.caller()),
    probe: (probe = {}) =>
      probeShare(settings, probe.signal, {
        mount: async () => void (await holder.caller(probe.signal)),
        files: () => files.probe(probe),
      }),
    [Symbol.asyncDispose]: () => holder[Symbol.asyncDispose](),
  };
}

async function probeShare(
  settings: NfsSettings,
  signal: AbortSignal | undefined,
  steps: { mount: () => Promise<void>; files: () => Promise<ProbeReport> },
): Promise<ProbeReport> {
  const { server } = settings;
  const started = performance.now();
  const checks: ProbeCheck[] = [];
  const attempt = async (name: string, run: () => Promise<ProbeCheck[]>): Promise<void> => {
    if (checks.some((check) => !check.ok)) return;
    try {
      throwIfCancelled(signal, 'The check');
      checks.push(...(await run()));
    } catch (error) {
      checks.push({ name, ok: false, message: error instanceof Error ? error.message : String(error) });
    }
  };
  await attempt('resolve', async () => {
    const { address } = await lookup(server).catch((error: unknown) => {
      const text = `The name ${server} cannot be looked up. Check config.server and the name server of this machine.`;
      throw new HoldfastError('backend_unavailable', text, { cause: error });
    });
    return [{ name: 'resolve', ok: true, message: `${server} is ${address}.` }];
  });
  await attempt('export', async () => {
    await steps.mount();
    return [{ name: 'export', ok: true, message: `${mountSource(settings)} is mounted.` }];
  });
  await attempt('list', async () => (await steps.files()).checks);
  return { ok: checks.every((check) => check.ok), checks, latencyMs: performance.now() - started };
}
