import type { HubClient } from '@holdfast/client/client';
import { readiness } from '@holdfast/contract/system';
import { fail, ok, reasonOf, warn } from './check.ts';
import type { Check } from './check.ts';
import { judgeSkew, judgeVersions } from './judgements.ts';

/** The checks that a hub answers. Never throws but when cancelled. */
export async function* hubChecks(
  client: HubClient,
  version: string,
  signal: AbortSignal,
): AsyncGenerator<Check> {
  let health: Response;
  try {
    health = await client.raw('getHealth', { signal });
  } catch (error) {
    signal.throwIfAborted();
    yield fail(
      'hub',
      `${client.url} does not answer: ${reasonOf(error)}`,
      'Check the URL, that the hub runs ("holdfast serve"), and the network and firewall between.',
    );
    return;
  }
  await health.body?.cancel();
  yield ok('hub', `${client.url} answers.`);
  const date = Date.parse(health.headers.get('date') ?? '');
  if (!Number.isNaN(date)) yield judgeSkew((Date.now() - date) / 1000);
  yield* guarded('readiness', signal, () => readinessChecks(client, signal));
  yield* guarded('key', signal, () => keyChecks(client, signal));
  yield* guarded('database', signal, () => databaseChecks(client, version, signal));
  yield* guarded('backends', signal, () => backendChecks(client, signal));
}

async function* guarded(
  name: string,
  signal: AbortSignal,
  checks: () => AsyncGenerator<Check>,
): AsyncGenerator<Check> {
  try {
    yield* checks();
  } catch (error) {
    signal.throwIfAborted();
    yield fail(name, reasonOf(error), 'Mend what the sentence says, then run "holdfast doctor" again.');
  }
}

async function* readinessChecks(client: HubClient, signal: AbortSignal): AsyncGenerator<Check> {
  const answer = await client.raw('getReadiness', { signal });
  const { checks } = readiness.parse(await answer.json());
  for (const { name, ok: isOk, message } of checks) {
    const called = `hub: ${name}`;
    yield isOk ? ok(called, message) : fail(called, message, "Look into the hub's log for the reason.");
  }
}

async function* keyChecks(client: HubClient, signal: AbortSignal): AsyncGenerator<Check> {
  const { name, expires_at: expires } = await client.call('getOwnKey', { signal });
  const days = expires === null ? null : (Date.parse(expires) - Date.now()) / 86_400_000;
  if (days === null || days > 7) yield ok('key', `The hub knows the key as "${name}".`);
  else {
    yield warn(
      'key',
      `The key "${name}" expires in ${Math.ceil(days)} days.`,
      'Have a new one issued and run "holdfast login".',
    );
  }
}

async function* databaseChecks(
  client: HubClient,
  version: string,
  signal: AbortSignal,
): AsyncGenerator<Check> {
  const { database, version: hubVersion } = await client.call('getSystemInfo', { signal });
  yield judgeVersions(version, hubVersion);
  yield ok('database', `${database.type}, schema ${database.schema_version}.`);
}

async function* backendChecks(client: HubClient, signal: AbortSignal): AsyncGenerator<Check> {
  for (const { id, name } of await client.call('listBackends', { signal }).then(({ data }) => data)) {
    const called = `backend ${name}`;
    const test = await client.call('testBackend', { params: { id }, signal });
    if (test.success) {
      yield ok(called, `${test.checks.length} checks passed.`);
      continue;
    }
    const broken = test.checks.find(({ ok: isOk }) => !isOk);
    yield fail(
      called,
      broken === undefined ? test.message : `${broken.name}: ${broken.message}`,
      `holdfast backends test ${name}`,
    );
  }
}
