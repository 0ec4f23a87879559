import type { CommandContext } from '../context.ts';
import { exitCodes } from '../exit-codes.ts';
import { backendNamed } from './named-backend.ts';

/** Runs the checks of a backend. */
export async function run({ args, endWith, hub, output, signal }: CommandContext): Promise<void> {
  const client = await hub();
  const { id, name } = await backendNamed(client, args[0] ?? '', signal);
  const test = await client.call('testBackend', { params: { id }, signal });
  output.result('backendsTest', { id, name, ...test }, () => {
    output.table(
      [
        { title: 'Check', text: (check) => check.name },
        { title: 'Result', text: ({ ok }) => (ok ? 'ok' : 'failed') },
        // What to do stands at the end of the sentence: it is not cut.
        { title: 'Remark', text: ({ message }) => message },
      ],
      test.checks,
    );
    output.note(`${test.message} (${Math.round(test.latency_ms)} ms)`);
  });
  if (test.success) return;
  endWith(exitCodes.unreachable);
  if (output.mode !== 'quiet') return;
  for (const check of test.checks) if (!check.ok) output.warn(`${check.name}: ${check.message}`);
}
