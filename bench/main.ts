import { fairness } from './fairness.ts';
import { serve } from './serve.ts';

/** Benchmarks by name: each compares Holdfast with a peer on the same machine in one run. */
const benchmarks: Record<string, (options: { quick: boolean }) => Promise<void>> = { serve, fairness };

const [name, ...flags] = process.argv.slice(2);
const benchmark = name === undefined ? undefined : benchmarks[name];
if (benchmark === undefined) {
  process.stderr.write(
    `usage: npm run bench -- <name> [--quick]\nnames: ${Object.keys(benchmarks).join(', ')}\n`,
  );
  process.exit(2);
}
await benchmark({ quick: flags.includes('--quick') });
