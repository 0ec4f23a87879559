import { fileAdvice } from '../../contents/advice.ts';
import { contentsThrough } from '../../contents/contents-through.ts';
import type { NfsBackend } from '../direct.ts';
import type { KernelBackend } from './kernel-backend.ts';
import { isUnsupported } from './mount-problem.ts';

/**
 * A backend that begins with the kernel's client, and goes over to our own for good when mounting turns out not to be
 * possible on this machine (a container without the right to mount, a module that does not load).
 */
export function withFallback(kernel: KernelBackend, createDirect: () => NfsBackend): NfsBackend {
  let chosen: NfsBackend | undefined;
  let choosing: Promise<NfsBackend> | undefined;

  const choose = async (): Promise<NfsBackend> => {
    try {
      await kernel.mount();
      chosen = kernel;
    } catch (error) {
      // A server that is down says nothing about this machine: the kernel's client tells it in its own words.
      if (!isUnsupported(error)) return kernel;
      chosen = createDirect();
    }
    return chosen;
  };
  const backend = async (): Promise<NfsBackend> => {
    if (chosen !== undefined) return chosen;
    choosing ??= choose().finally(() => {
      choosing = undefined;
    });
    return choosing;
  };

  return {
    type: 'nfs',
    get capabilities() {
      return (chosen ?? kernel).capabilities;
    },
    probe: async (options) => (await backend()).probe(options),
    stat: async (path, options) => (await backend()).stat(path, options),
    list: async (path, options) => (await backend()).list(path, options),
    open: async (path, options) => (await backend()).open(path, options),
    write: async (path, source, options) => (await backend()).write(path, source, options),
    remove: async (path, options) => (await backend()).remove(path, options),
    move: async (from, to, options) => (await backend()).move(from, to, options),
    copy: async (from, to, options) => (await backend()).copy(from, to, options),
    makeFolder: async (path) => (await backend()).makeFolder(path),
    usage: async (options) => (await backend()).usage(options),
    countChildren: async (path) => (await backend()).countChildren(path),
    contents: contentsThrough(async (step) => step((await backend()).contents), fileAdvice),
    sweep: async () => (await backend()).sweep(),
    async [Symbol.asyncDispose]() {
      await choosing?.catch(() => undefined);
      await kernel[Symbol.asyncDispose]();
      if (chosen !== kernel) await chosen?.[Symbol.asyncDispose]();
    },
  };
}
