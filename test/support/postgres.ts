import { chmod, readdir } from 'node:fs/promises';
import pg from 'pg';
import { freePort } from './free-port.ts';
import { runProcess, startProcess } from './process.ts';
import type { RunningProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const VERSIONS = '/usr/lib/postgresql';
const START_TIMEOUT_MS = 60_000;
const PORT_ATTEMPTS = 5;

/** A throwaway PostgreSQL server on loopback. */
export interface PostgresServer extends AsyncDisposable {
  /** Of the database `postgres`. */
  readonly url: string;
  /**
   * Makes an empty database and resolves to its URL. Its text sorts like English unless a column says otherwise, as
   * on many a server that was not set up for one program alone.
   */
  createDatabase(): Promise<string>;
  /** Stops the server and removes its data. */
  dispose(): Promise<void>;
}

/**
 * Starts a server with its own data directory, as the user `postgres` when the tests run as root (PostgreSQL refuses
 * root). It ends with the test process, however that ends.
 * Throws when PostgreSQL is not installed.
 */
export async function startPostgres(): Promise<PostgresServer> {
  await using resources = new AsyncDisposableStack();
  const bin = await findPrograms();
  const work = resources.use(await makeTempDir('postgres'));
  if (isRoot()) await runProcess('chown', ['postgres:postgres', work.path]);
  await chmod(work.path, 0o700);
  const data = work.join('data');
  const user = 'hub';
  const initialize = [
    `${bin}/initdb`,
    '-D',
    data,
    '-U',
    user,
    '-A',
    'trust',
    '--no-sync',
    '-E',
    'UTF8',
    '--locale=C',
  ];
  await run([...initialize, '--no-instructions'], work.path);

  const { server, port } = await listen(bin, data, work.path);
  resources.defer(async () => {
    // Unlike a kill, an immediate shutdown takes the children along and frees the shared memory.
    server.kill('SIGQUIT');
    await server.exited;
  });
  const url = `postgres://${user}@127.0.0.1:${port}/postgres`;
  const admin = resources.adopt(new pg.Client({ connectionString: url }), (client) => client.end());
  await admin.connect();

  let databases = 0;
  const owned = resources.move();
  return {
    url,
    async createDatabase() {
      databases += 1;
      const name = `test_${databases}`;
      await admin.query(
        `create database ${name} template template0 locale_provider icu icu_locale 'en-US' locale 'C'`,
      );
      return `postgres://${user}@127.0.0.1:${port}/${name}`;
    },
    dispose: () => owned.disposeAsync(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A port that was free may be taken before the server binds it. */
async function listen(
  bin: string,
  data: string,
  sockets: string,
): Promise<{ server: RunningProcess; port: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const settings = [
      'listen_addresses=127.0.0.1',
      `port=${port}`,
      `unix_socket_directories=${sockets}`,
      'max_connections=200',
      'shared_buffers=32MB',
      // Nothing here needs to survive the machine.
      'fsync=off',
      'full_page_writes=off',
      'synchronous_commit=off',
    ];
    const [command, ...args] = asPostgres([
      `${bin}/postgres`,
      '-D',
      data,
      ...settings.flatMap((setting) => ['-c', setting]),
    ]);
    const server = await startProcess(command, args, { cwd: sockets });
    try {
      await server.waitForOutput(/ready to accept connections/, {
        timeoutMs: START_TIMEOUT_MS,
        stream: 'stderr',
      });
      return { server, port };
    } catch (error) {
      const taken = server.stderr().includes('could not create any TCP/IP sockets');
      await server[Symbol.asyncDispose]();
      if (!taken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

async function run(line: readonly string[], cwd: string): Promise<void> {
  const [command, ...args] = asPostgres(line);
  await runProcess(command, args, { cwd, env: { LC_ALL: 'C' } });
}

/** A change of user clears the signal that a parent's death sends (prctl(2)), so it is asked for again. */
function asPostgres(line: readonly string[]): [string, ...string[]] {
  const identity = isRoot() ? ['--reuid', 'postgres', '--regid', 'postgres', '--init-groups'] : [];
  return ['setpriv', ...identity, '--pdeathsig', 'QUIT', ...line];
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** The folder of the newest installed version's programs. */
async function findPrograms(): Promise<string> {
  let versions: string[];
  try {
    versions = await readdir(VERSIONS);
  } catch (error) {
    throw new Error(
      `PostgreSQL is not installed (there is no ${VERSIONS}). Install the Debian package postgresql.`,
      {
        cause: error,
      },
    );
  }
  const newest = versions
    .filter((name) => /^\d+$/.test(name))
    .toSorted((a, b) => Number(b) - Number(a))
    .at(0);
  if (newest === undefined) {
    throw new Error(`PostgreSQL has no version in ${VERSIONS}. Install the Debian package postgresql.`);
  }
  return `${VERSIONS}/${newest}/bin`;
}
