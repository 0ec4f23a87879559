import type { CommandContext } from '../context.ts';
import { fail, reasonOf, warn, worst } from '../doctor/check.ts';
import type { Check, CheckStatus } from '../doctor/check.ts';
import { hubChecks } from '../doctor/hub-checks.ts';
import { judgeNode } from '../doctor/judgements.ts';
import { machineChecks } from '../doctor/machine-checks.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Output } from '../output/output.ts';
import { configFolder } from '../profile/folders.ts';
import { readProfiles } from '../profile/profile-store.ts';
import type { Credentials } from '../profile/credentials.ts';
import { version } from '../version.ts';

/** How long the hub may take for an answer: its checks of a backend have limits of their own. */
const ANSWER_MS = 60_000;

/** Checks the hub and this machine, and says what to mend. */
export async function run(context: CommandContext): Promise<void> {
  const { env, output, signal } = context;
  const checks: Check[] = [judgeNode(process.versions.node)];
  const credentials = await found(context, checks);
  if (credentials !== null) {
    const { createClient } = await import('@holdfast/client/client');
    const { url, apiKey } = credentials;
    const client = createClient({ url, apiKey, retry: false, attemptTimeoutMs: ANSWER_MS, signal });
    for await (const check of hubChecks(client, version, signal)) checks.push(check);
  }
  for await (const check of machineChecks({ env, cwd: process.cwd(), version })) checks.push(check);
  const status = worst(checks);
  if (status === 'fail') context.endWith(exitCodes.failure);
  output.result('doctor', { url: credentials?.url ?? null, status, checks }, () => tell(output, checks));
  if (output.mode !== 'quiet') return;
  for (const { name, status: one, message } of checks) if (one === 'fail') output.warn(`${name}: ${message}`);
}

/** Which hub is meant; null when none is configured, which is no failure on a machine that is to become one. */
async function found({ env, credentials }: CommandContext, checks: Check[]): Promise<Credentials | null> {
  const login = 'Run "holdfast login", or set HOLDFAST_URL and HOLDFAST_API_KEY.';
  try {
    await readProfiles(configFolder(env));
  } catch (error) {
    checks.push(fail('credentials', reasonOf(error), 'Mend the file as the sentence says.'));
    return null;
  }
  try {
    const wanted = await credentials();
    const from = wanted.profile === null ? 'The environment' : `The profile "${wanted.profile}"`;
    checks.push({ name: 'credentials', status: 'ok', message: `${from} names ${wanted.url}.`, fix: null });
    return wanted;
  } catch (error) {
    checks.push(warn('credentials', reasonOf(error), login));
    return null;
  }
}

function tell(output: Output, checks: readonly Check[]): void {
  const { isOutputTty, paint } = output.terminal;
  const marks: Record<CheckStatus, string> = {
    ok: paint('green', 'ok  '),
    warn: paint('yellow', 'warn'),
    fail: paint('red', 'FAIL'),
  };
  for (const { name, status, message, fix } of checks) {
    if (!isOutputTty) output.line([status, name, message, fix ?? ''].join('\t'));
    else {
      output.line(`${marks[status]}  ${paint('bold', name)}: ${message}`);
      if (fix !== null) output.line(`      to fix: ${fix}`);
    }
  }
  const count = (wanted: CheckStatus): number => checks.filter(({ status }) => status === wanted).length;
  output.note(`${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} failed`);
}
