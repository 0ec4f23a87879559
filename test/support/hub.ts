import { readFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { z } from 'zod';
import { type ProcessExit, type RunningProcess, startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

const repository = path.resolve(import.meta.dirname, '../..');
/** The pinned Node of the repository, whatever runs the tests. */
const nodeBinary = path.join(repository, 'node_modules/node/bin/node');
const hubMain = path.join(repository, 'apps/hub/src/main.ts');
/** What `npm start` gives Node: a young generation whose garbage stays small. */
const nodeFlags = z
  .array(z.string())
  .parse(JSON.parse(readFileSync(path.join(repository, 'apps/hub/node-flags.json'), 'utf8')));

const readyLine = z.object({ event: z.literal('ready'), url: z.url(), tftp: z.string().optional() });

export interface HubOptions {
  /** Environment variables beside the port, key and data directory that every test hub gets. */
  env?: Record<string, string | undefined>;
  /** Flags of the hub's command line. */
  args?: readonly string[];
  /** A data directory that outlives the hub. Default: a fresh one that is removed with it. */
  dataDir?: string;
  /** A program and its arguments to run the hub under. It must exec the hub in its own pid, as `strace -D` does. */
  prefix?: readonly string[];
}

/** A hub in a process of its own. Disposing kills it and removes its data directory. */
export interface HubUnderTest extends AsyncDisposable {
  /** Base URL without a trailing slash; another one after a restart. */
  readonly url: string;
  /** `host:port` of TFTP, when the environment asks for it. */
  readonly tftp: string | undefined;
  readonly adminKey: string;
  readonly dataDir: string;
  readonly pid: number;
  /** Calls the hub with the administrator's key. Never follows a redirect: the hub has none. */
  api(path: string, init?: RequestInit): Promise<Response>;
  /** Calls the hub and parses `data` of a successful `/api/v1` answer. Throws with the body of any other answer. */
  data<T>(schema: z.ZodType<T>, path: string, init?: RequestInit): Promise<T>;
  /** What it has logged. */
  stderr(): string;
  /** Sends a signal and waits for the end of the process. */
  kill(signal: NodeJS.Signals): Promise<ProcessExit>;
  /** Settles when the process has ended, by itself or by a signal. */
  readonly exited: Promise<ProcessExit>;
  /** Starts it anew on the same data, after SIGTERM if it still runs. Without options as it was started. */
  restart(options?: Pick<HubOptions, 'env' | 'args' | 'prefix'>): Promise<void>;
}

/**
 * Starts a hub on free ports and waits for its ready line.
 * Throws with the tail of its log when it is not ready within 30 s.
 */
export async function startHub(options: HubOptions = {}): Promise<HubUnderTest> {
  await using resources = new AsyncDisposableStack();
  const dataDir = options.dataDir ?? resources.use(await makeTempDir('hub')).path;
  const adminKey = randomBytes(20).toString('hex');
  let launch = options;
  let current = await launchHub(launch, dataDir, adminKey);
  resources.defer(() => current.process[Symbol.asyncDispose]());
  const owned = resources.move();

  const api = (target: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${adminKey}`);
    return fetch(current.url + target, { redirect: 'error', ...init, headers });
  };
  const kill = async (signal: NodeJS.Signals): Promise<ProcessExit> => {
    current.process.kill(signal);
    return await current.process.exited;
  };

  return {
    get url() {
      return current.url;
    },
    get tftp() {
      return current.tftp;
    },
    get pid() {
      return current.process.pid;
    },
    get exited() {
      return current.process.exited;
    },
    adminKey,
    dataDir,
    api,
    async data(schema, target, init) {
      const response = await api(target, init);
      const text = await response.text();
      if (!response.ok)
        throw new Error(`${init?.method ?? 'GET'} ${target} answered ${response.status}: ${text}`);
      const parsed: unknown = JSON.parse(text);
      return z.object({ success: z.literal(true), data: schema }).parse(parsed).data;
    },
    stderr: () => current.process.stderr(),
    kill,
    async restart(changes) {
      await kill('SIGTERM');
      launch = { ...launch, ...changes };
      current = await launchHub(launch, dataDir, adminKey);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface LaunchedHub {
  process: RunningProcess;
  url: string;
  tftp: string | undefined;
}

async function launchHub(options: HubOptions, dataDir: string, adminKey: string): Promise<LaunchedHub> {
  const [command, ...args] = [
    ...(options.prefix ?? []),
    nodeBinary,
    ...nodeFlags,
    hubMain,
    ...(options.args ?? []),
  ];
  if (command === undefined) throw new Error('The hub has no command to run.');
  const hub = await startProcess(command, args, {
    cwd: dataDir,
    env: { HOLDFAST_PORT: '0', HOLDFAST_ADMIN_KEY: adminKey, HOLDFAST_DATA: dataDir, ...options.env },
  });
  try {
    const [line] = await hub.waitForOutput(/^\{.*"event":"ready".*\}$/m, { timeoutMs: 30_000 });
    const { url, tftp } = readyLine.parse(JSON.parse(line));
    return { process: hub, url: url.replace(/\/$/, ''), tftp };
  } catch (error) {
    await hub[Symbol.asyncDispose]();
    throw error;
  }
}
