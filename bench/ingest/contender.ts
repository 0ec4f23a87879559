import { peakMemory } from '@holdfast/test-support/rss';
import { cpuSeconds } from '../measure.ts';
import type { Source } from './source.ts';

/** What one run cost. */
export interface Outcome {
  seconds: number;
  /** Processor seconds and peak resident memory of the server process. */
  server?: { cpuSeconds: number; peakMiB: number };
  /** Processor seconds of this process, which sends; absent where a program of its own does. */
  clientCpuSeconds?: number;
}

/** One way to get the files onto the disk. Each run starts on an empty server. */
export interface Contender {
  name: string;
  large(source: Source, folder: string): Promise<Outcome>;
  small(source: Source, folder: string): Promise<Outcome>;
}

/** Runs the work and measures it, on the server's side and on this one. */
export async function measured(serverPid: number, work: () => Promise<void>): Promise<Outcome> {
  const serverBefore = cpuSeconds(serverPid);
  const clientBefore = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(clientBefore);
  return {
    seconds,
    server: {
      cpuSeconds: cpuSeconds(serverPid) - serverBefore,
      peakMiB: (await peakMemory(serverPid)) / 1024 ** 2,
    },
    clientCpuSeconds: (user + system) / 1e6,
  };
}
