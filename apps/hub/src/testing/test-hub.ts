import { join } from 'node:path';
import { pino, type Logger } from 'pino';
import type { z } from 'zod';
import type { Endpoint } from '@holdfast/contract/endpoint';
import { endpoints } from '@holdfast/contract/endpoints';
import { success } from '@holdfast/contract/envelope';
import { storageFile, type StorageFile } from '@holdfast/contract/files';
import type { ApiKeyWithToken } from '@holdfast/contract/keys';
import type { Operation } from '@holdfast/contract/operations';
import { problem, problemMediaType, type Problem } from '@holdfast/contract/problem';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { HubConfig } from '../config/config.ts';
import type { HubContext } from '../context.ts';
import { startHub, type RunningHub } from '../start.ts';

/** The administrator's key of every test hub that does not ask for another one. */
export const ADMIN_KEY = 'an-administrator-key-of-test-hubs-0123456789';

const storedAnswer = success(storageFile);

/** What a call sends. */
export interface CallOptions {
  params?: Record<string, string>;
  query?: Record<string, string | number | boolean>;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
  /** Another API key than the administrator's; null sends none. */
  key?: string | null;
}

/** What `fetch` takes, and the API key: the administrator's when left out, none for null. */
export type RequestOptions = RequestInit & { key?: string | null; duplex?: 'half' };

/** A hub in this process, with a data directory of its own. Disposing stops it and removes the directory. */
export interface TestHub extends AsyncDisposable {
  /** Base URL without a trailing slash; another one after a restart. */
  readonly url: string;
  readonly dataDir: string;
  readonly context: HubContext;
  /** The folder behind the backend that a first start makes. */
  readonly root: string;
  /** The id of that backend. */
  readonly backendId: string;
  /** Every log line so far, of all levels, as JSON. */
  logs(): string;
  request(target: string, options?: RequestOptions): Promise<Response>;
  /** Calls an endpoint, whose answer must be one of its own successes; resolves to the parsed answer. */
  call<R extends z.ZodType>(endpoint: AnyEndpoint<R>, options?: CallOptions): Promise<z.output<R>>;
  /** Calls an endpoint that must refuse; resolves to the problem. */
  refusal(endpoint: Endpoint, options?: CallOptions): Promise<Problem>;
  /** The answer of an endpoint, whatever it is. */
  response(endpoint: Endpoint, options?: CallOptions): Promise<Response>;
  /** Stores bytes at a path of the default backend. */
  upload(
    path: string,
    bytes: string | Uint8Array<ArrayBuffer>,
    headers?: Record<string, string>,
  ): Promise<StorageFile>;
  /** Issues a key; its token is what `key` takes. */
  issueKey(key: {
    name?: string;
    scopes: string[];
    backend_id?: string;
    path_prefix?: string;
  }): Promise<ApiKeyWithToken>;
  /** Resolves to a long operation once it has ended. */
  finished(operationId: string): Promise<Operation>;
  /** Stops the hub and starts another one on the same data. */
  restart(changes?: Partial<HubConfig>): Promise<void>;
  /** Stops the hub as SIGTERM does: running requests may end. */
  drain(): Promise<void>;
  /** Stops the hub alone; the directory stays until the fixture is disposed. */
  stop(): Promise<void>;
}

type AnyEndpoint<R extends z.ZodType> = Endpoint<
  z.ZodType | undefined,
  z.ZodType | undefined,
  Endpoint['body'],
  R
>;

/** Starts a hub on any free port of loopback; SQLite in its data directory unless the configuration says otherwise. */
export async function startTestHub(config: Partial<HubConfig> = {}): Promise<TestHub> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await makeTempDir('hub'));
  const dataDir = config.dataDir ?? folder.path;
  const log = captureLog();
  let current = hubConfig({ ...config, dataDir });
  let running = await startHub(current, { logger: log.logger });
  resources.defer(() => running[Symbol.asyncDispose]());
  const owned = resources.move();
  return makeTestHub({
    dataDir,
    running: () => running,
    logs: log.text,
    async restart(changes) {
      await running[Symbol.asyncDispose]();
      current = { ...current, ...changes };
      running = await startHub(current, { logger: log.logger });
    },
    dispose: () => owned.disposeAsync(),
  });
}

/** The configuration of a hub for tests. */
export function hubConfig(config: Partial<HubConfig> & Pick<HubConfig, 'dataDir'>): HubConfig {
  return {
    host: '127.0.0.1',
    port: 0,
    publicUrl: null,
    tftp: null,
    databaseUrl: `sqlite:${join(config.dataDir, 'holdfast.db')}`,
    adminKey: ADMIN_KEY,
    secretKey: null,
    tls: null,
    logLevel: 'silent',
    ...config,
  };
}

interface Parts {
  dataDir: string;
  running: () => RunningHub;
  logs: () => string;
  restart: (changes?: Partial<HubConfig>) => Promise<void>;
  dispose: () => Promise<void>;
}

function makeTestHub({ dataDir, running, logs, restart, dispose }: Parts): TestHub {
  const request: TestHub['request'] = (target, { key = ADMIN_KEY, ...init } = {}) => {
    const headers = new Headers(init.headers);
    if (key !== null && !headers.has('authorization')) headers.set('authorization', `Bearer ${key}`);
    return fetch(running().url + target, { redirect: 'error', ...init, headers });
  };
  const response: TestHub['response'] = (endpoint, options = {}) => {
    const { params = {}, query = {}, body, headers = {}, key } = options;
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    return request(targetOf(endpoint, params, query), {
      method: endpoint.method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...json,
      ...(key === undefined ? {} : { key }),
    });
  };
  const call: TestHub['call'] = async (endpoint, options) => {
    const answer = await response(endpoint, options);
    const text = await answer.text();
    if (!endpoint.status.includes(answer.status) || endpoint.response === undefined) {
      throw new Error(`${endpoint.method} ${endpoint.path} answered ${answer.status}: ${text}`);
    }
    const parsed: unknown = JSON.parse(text);
    return endpoint.response.parse(parsed);
  };
  return {
    get url() {
      return running().url;
    },
    get context() {
      return running().context;
    },
    get backendId() {
      const made = running()
        .context.backends.list()
        .find(({ row }) => row.name === 'default');
      if (made === undefined) throw new Error('The hub has no backend named default.');
      return made.row.id;
    },
    dataDir,
    root: join(dataDir, 'files'),
    logs,
    request,
    response,
    call,
    refusal: async (endpoint, options) => problemOf(await response(endpoint, options)),
    async upload(path, bytes, headers = {}) {
      const target = targetOf(endpoints.uploadFile, { id: this.backendId }, { path });
      const answer = await request(target, { method: 'POST', body: bytes, headers });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`The upload of ${path} answered ${answer.status}: ${text}`);
      const parsed: unknown = JSON.parse(text);
      return storedAnswer.parse(parsed).data;
    },
    async issueKey(key) {
      return (await call(endpoints.createKey, { body: { name: `a key ${crypto.randomUUID()}`, ...key } }))
        .data;
    },
    async finished(operationId) {
      const { events } = running().context;
      let unsubscribe: (() => void) | undefined;
      const ended = new Promise<void>((resolve) => {
        unsubscribe = events.subscribe((event) => {
          if (event.type === 'operation.finished' && event.operation_id === operationId) resolve();
        });
      });
      const read = async (): Promise<Operation> =>
        (await call(endpoints.getOperation, { params: { id: operationId } })).data;
      const now = await read();
      if (now.state === 'running') await ended;
      unsubscribe?.();
      return await read();
    },
    restart,
    drain: () => running().stop(),
    stop: async () => running()[Symbol.asyncDispose](),
    [Symbol.asyncDispose]: dispose,
  };
}

/** The request target of an endpoint, its parameters and query filled in and encoded. */
export function targetOf(
  endpoint: Pick<Endpoint, 'path'>,
  params: Record<string, string> = {},
  query: Record<string, string | number | boolean> = {},
): string {
  const path = endpoint.path.replace(/\{(\w+)(\*?)\}/g, (_, name: string, rest: string) => {
    const value = params[name] ?? '';
    return rest === '' ? encodeURIComponent(value) : value.split('/').map(encodeURIComponent).join('/');
  });
  const search = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return search.length === 0 ? path : `${path}?${search.join('&')}`;
}

/** The problem that an answer is. Throws for an answer that is none, or whose parts contradict each other. */
export async function problemOf(response: Response): Promise<Problem> {
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith(problemMediaType))
    throw new Error(`Not a problem: ${response.status} ${type}: ${text}`);
  const parsed = problem.parse(JSON.parse(text));
  if (parsed.status !== response.status || parsed.request_id !== response.headers.get('x-request-id')) {
    throw new Error(`The problem does not fit its answer of status ${response.status}: ${text}`);
  }
  return parsed;
}

/** The statuses of answers that raced each other, lowest first. */
export function statusesOf(answers: readonly Response[]): number[] {
  return answers.map(({ status }) => status).toSorted((a, b) => a - b);
}

/** A logger that keeps its lines in memory. */
function captureLog(): { logger: Logger; text: () => string } {
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
  return { logger, text: () => lines.join('') };
}
