import { joinBackendPath } from '@holdfast/bytes/backend-path';
import type { BackendPath } from '@holdfast/bytes/backend-path';
import { startWebdavNginx } from '@holdfast/test-support/webdav-nginx';
import type { WebdavNginx, WebdavNginxOptions } from '@holdfast/test-support/webdav-nginx';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorageBackend } from '../../backend.ts';
import { createHttpBackend, prepareHttp } from '../../http.ts';
import type { HttpConfig } from '../../http.ts';
import { mapBounded } from '../../concurrency/bounded.ts';

/** Puts many one-byte files into a folder behind the server's back. */
export async function seedFiles(root: string, folder: BackendPath, names: readonly string[]): Promise<void> {
  await mkdir(join(root, folder), { recursive: true });
  await chmod(join(root, folder), 0o777);
  await mapBounded(names, 32, (name) => writeFile(join(root, joinBackendPath(folder, name)), 'x'));
}

export interface OpenOptions {
  ownerId?: string;
  timeLimitMs?: number;
  spoolDir?: string;
  spoolBytes?: number;
  config?: Partial<HttpConfig>;
}

/** A writable backend on an nginx of its own, behind a relay that can misbehave. */
export interface ScratchDav extends AsyncDisposable {
  readonly server: WebdavNginx;
  readonly proxy: TcpProxy;
  readonly config: HttpConfig;
  readonly backend: StorageBackend;
  /** Another backend of the same volume. */
  open(options?: OpenOptions): StorageBackend;
  /** Names in the staging folder: empty when no write is under way. */
  staged(): Promise<string[]>;
}

/** Starts nginx, a relay to it, and a backend on the relay. */
export async function startScratchDav(
  options: WebdavNginxOptions & { timeLimitMs?: number } = {},
): Promise<ScratchDav> {
  await using resources = new AsyncDisposableStack();
  const server = resources.use(await startWebdavNginx(options));
  const proxy = resources.use(await startTcpProxy({ port: server.ports.dav }));
  const config: HttpConfig = {
    base_url: `http://127.0.0.1:${proxy.listenPort}/`,
    writable: true,
    ...(options.basic === undefined ? {} : { auth_method: 'basic', ...options.basic }),
  };
  const { volumeId } = await prepareHttp(config);
  const open = ({
    ownerId = 'hub-1',
    timeLimitMs = 30_000,
    config: changes = {},
    ...spool
  }: OpenOptions): StorageBackend =>
    createHttpBackend({ ...config, ...changes, ...spool, volumeId, ownerId, timeLimitMs });
  const backend = resources.use(open(options));
  const owned = resources.move();
  return {
    server,
    proxy,
    config,
    backend,
    open: (own = {}) => owned.use(open(own)),
    staged: () => readdir(join(server.root, '.holdfast/staging')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
