import { backends } from './backends.ts';
import { cli } from './cli.ts';
import { fairness } from './fairness.ts';
import { ingest } from './ingest.ts';
import { rack } from './rack.ts';
import { serve } from './serve.ts';
import { sessions } from './sessions.ts';
import { tftp } from './tftp.ts';

/** Benchmarks by name: each compares Holdfast with a peer on the same machine in one run. */
const benchmarks: Record<string, (options: { quick: boolean; chart: string | null }) => Promise<void>> = {
  serve,
  fairness,
  tftp,
  rack,
  backends,
  ingest,
  sessions,
  cli,
};

const [name, ...flags] = process.argv.slice(2);
const benchmark = name === undefined ? undefined : benchmarks[name];
if (benchmark === undefined) {
  process.stderr.write(
    `usage: npm run bench -- <name> [--quick] [--chart=<file.svg>]\nnames: ${Object.keys(benchmarks).join(', ')}\n`,
  );
  process.exit(2);
}
const chart = flags.find((flag) => flag.startsWith('--chart='))?.slice('--chart='.length) ?? null;
await benchmark({ quick: flags.includes('--quick'), chart });
