import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';

/** One thing that `npm run check` looks at. The script runs on the Node that runs this file. */
interface Check {
  name: string;
  script: string;
  args: string[];
  /** What to do when it fails, in a few words. */
  advice: string;
}

const checks: readonly Check[] = [
  { name: 'types', script: 'node_modules/typescript/bin/tsc', args: ['-p', 'tsconfig.json'], advice: '' },
  {
    name: 'lint',
    script: 'node_modules/oxlint/bin/oxlint',
    args: ['--type-aware', '--deny-warnings', '--report-unused-disable-directives'],
    advice: '',
  },
  { name: 'unused', script: 'node_modules/knip/bin/knip.js', args: ['--no-progress'], advice: '' },
  {
    name: 'format',
    script: 'node_modules/oxfmt/bin/oxfmt',
    args: ['--check'],
    advice: 'Run "npm run format".',
  },
  { name: 'layers', script: 'scripts/check-layers.ts', args: [], advice: 'The rule is in CONTRIBUTING.md.' },
];

interface Outcome {
  ok: boolean;
  output: string;
  seconds: number;
}

function run(check: Check): Promise<Outcome> {
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [check.script, ...check.args], {
      cwd: dirname(import.meta.dirname),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8');
      stream.on('data', (text: string) => {
        output += text;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ ok: code === 0, output: output.trim(), seconds: (performance.now() - startedAt) / 1000 });
    });
  });
}

function report(check: Check, outcome: Outcome): void {
  const mark = outcome.ok ? 'ok  ' : 'FAIL';
  process.stdout.write(`${mark} ${check.name} (${outcome.seconds.toFixed(1)} s)\n`);
  if (outcome.ok) return;
  process.stdout.write(`${outcome.output}\n`);
  if (check.advice !== '') process.stdout.write(`${check.advice}\n`);
  process.stdout.write('\n');
}

/** Runs the checks, as many at a time as there are cores; resolves to the names of those that failed. */
async function runAll(): Promise<string[]> {
  const waiting = [...checks];
  const failed: string[] = [];
  async function work(): Promise<void> {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      const outcome = await run(check);
      report(check, outcome);
      if (!outcome.ok) failed.push(check.name);
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return failed;
}

const failed = await runAll();
process.stdout.write(failed.length === 0 ? 'All checks passed.\n' : `Failed: ${failed.join(', ')}.\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
