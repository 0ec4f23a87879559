import { constants } from 'node:fs';
import { access, lstat, stat, statfs } from 'node:fs/promises';
import { createSocket } from 'node:dgram';
import { createConnection, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { loadConfig } from '@holdfast/hub/config';
import { fail, ok, reasonOf, warn } from './check.ts';
import type { Check } from './check.ts';
import { judgeMode, judgeSpace } from './judgements.ts';

type HubConfig = ReturnType<typeof loadConfig>;

const CONNECT_MS = 5000;

export interface Machine {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  version: string;
}

/** The checks of a hub that runs, or is to run, on this machine: its configuration, files and ports. Never throws. */
export async function* machineChecks({ env, cwd, version }: Machine): AsyncGenerator<Check> {
  let config: HubConfig;
  try {
    config = loadConfig({ argv: [], env: { ...env }, cwd, version });
  } catch (error) {
    yield fail('configuration', reasonOf(error), 'Mend that setting in the environment or in holdfast.toml.');
    return;
  }
  yield ok('configuration', 'The settings of a hub on this machine are valid.');
  const isThere = await exists(config.dataDir);
  yield* dataChecks(config, isThere);
  yield* databaseChecks(config, isThere);
  yield await tcpPort(config.host, config.port);
  if (config.tftp !== null) yield await udpPort(config.tftp.host, config.tftp.port);
}

async function* dataChecks({ dataDir }: HubConfig, isThere: boolean): AsyncGenerator<Check> {
  const name = 'data directory';
  if (!isThere) {
    yield ok(name, `${dataDir} is not there yet: "holdfast serve" makes it.`);
    yield await space(await nearestFolder(dataDir));
    return;
  }
  try {
    yield judgeMode(name, dataDir, (await stat(dataDir)).mode, true);
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const fix = `Give it to the user that the hub runs as: chown -R USER ${dataDir}`;
    yield fail(name, `${dataDir} cannot be used: ${reasonOf(error)}`, fix);
  }
  const key = join(dataDir, 'secret.key');
  const stats = await lstat(key).catch(() => undefined);
  if (stats !== undefined) yield judgeMode('secret key', key, stats.mode, false);
  yield await space(dataDir);
}

async function* databaseChecks({ databaseUrl }: HubConfig, isThere: boolean): AsyncGenerator<Check> {
  const name = 'local database';
  if (databaseUrl.startsWith('sqlite:')) {
    const file = databaseUrl.slice('sqlite:'.length);
    if (!isThere || !(await exists(file))) return;
    try {
      using database = new DatabaseSync(file, { readOnly: true, timeout: 5000 });
      const found = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {});
      yield found[0] === 'ok'
        ? ok(name, `${file} is sound.`)
        : fail(
            name,
            `${file} is damaged: ${String(found[0])}`,
            'Stop the hub and restore the file from a backup.',
          );
    } catch (error) {
      yield fail(name, `${file} cannot be read: ${reasonOf(error)}`, 'Check its owner and mode.');
    }
    return;
  }
  const { hostname, port } = new URL(databaseUrl);
  const server = `${hostname}:${port === '' ? '5432' : port}`;
  try {
    await connected(hostname, port === '' ? 5432 : Number(port));
    yield ok(name, `PostgreSQL at ${server} takes connections.`);
  } catch (error) {
    yield fail(
      name,
      `${server} cannot be reached: ${reasonOf(error)}`,
      'Check HOLDFAST_DATABASE_URL and that PostgreSQL runs.',
    );
  }
}

async function space(folder: string): Promise<Check> {
  try {
    const { bavail, blocks, bsize } = await statfs(folder);
    return judgeSpace('disk space', bavail * bsize, blocks * bsize);
  } catch (error) {
    return fail(
      'disk space',
      `${folder} cannot be looked at: ${reasonOf(error)}`,
      'Check the disk and its mount.',
    );
  }
}

async function tcpPort(host: string, port: number): Promise<Check> {
  const name = 'HTTP port';
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | null>();
  const server = createServer();
  server.once('error', resolve);
  server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  const problem = await promise;
  if (problem === null) return ok(name, `${host}:${port} is free.`);
  return (await isHub(host, port))
    ? ok(name, `A hub listens on ${host}:${port}.`)
    : taken(name, host, port, problem);
}

async function udpPort(host: string, port: number): Promise<Check> {
  const name = 'TFTP port';
  const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException | null>();
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.once('error', resolve);
  socket.bind({ address: host, port, exclusive: true }, () => resolve(null));
  const problem = await promise;
  socket.close();
  if (problem === null) return ok(name, `${host}:${port} is free.`);
  if (problem.code !== 'EADDRINUSE') return taken(name, host, port, problem);
  const fix = 'When no hub runs here, stop the other program, or set HOLDFAST_TFTP_PORT.';
  return warn(name, `${host}:${port} is in use, by a hub or by another TFTP server.`, fix);
}

function taken(name: string, host: string, port: number, problem: NodeJS.ErrnoException): Check {
  if (problem.code === 'EACCES') {
    const fix =
      'Ports below 1024 need CAP_NET_BIND_SERVICE (setcap, or AmbientCapabilities of systemd), or take a higher one.';
    return fail(name, `This user may not listen on ${host}:${port}.`, fix);
  }
  if (problem.code === 'EADDRINUSE') {
    const fix = `Find it by "ss -lptun 'sport = :${port}'", stop it, or set another port.`;
    return warn(name, `${host}:${port} is in use by another program.`, fix);
  }
  return fail(
    name,
    `${host}:${port} cannot be used: ${problem.message}`,
    'Check the address: this machine must have it.',
  );
}

async function isHub(host: string, port: number): Promise<boolean> {
  const address =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host;
  try {
    const answer = await fetch(`http://${address}:${port}/healthz`, {
      redirect: 'error',
      signal: AbortSignal.timeout(CONNECT_MS),
    });
    return answer.ok && (await answer.text()).includes('"ok"');
  } catch {
    return false;
  }
}

function connected(host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const socket = createConnection({ host, port, timeout: CONNECT_MS });
  socket.once('connect', () => resolve(undefined));
  socket.once('error', reject);
  socket.once('timeout', () => reject(new Error('no answer')));
  return promise.finally(() => socket.destroy());
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function nearestFolder(path: string): Promise<string> {
  let folder = path;
  while (!(await exists(folder)) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
