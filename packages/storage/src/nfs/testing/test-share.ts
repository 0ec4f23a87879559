import { startGanesha } from '@holdfast/test-support/ganesha';
import type { GaneshaOptions, GaneshaServer } from '@holdfast/test-support/ganesha';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createNfsBackend, prepareNfs } from '../../nfs.ts';
import type { NfsBackendOptions } from '../../nfs.ts';
import type { NfsBackend } from '../direct.ts';

export interface TestShareOptions extends GaneshaOptions {
  /** Milliseconds without a sign of life after which a call is given up. Default 10 s. */
  timeLimitMs?: number;
}

/** A real server behind a relay that can misbehave, and a backend of mode `direct` on it. */
export interface TestShare extends AsyncDisposable {
  readonly server: GaneshaServer;
  readonly proxy: TcpProxy;
  readonly backend: NfsBackend;
  readonly options: NfsBackendOptions;
  /** The path on this machine of a path of the share. */
  onDisk(path: string): string;
  /** Names in the staging folder: empty when no write is under way. */
  staged(): Promise<string[]>;
}

/** Starts server and relay and prepares the share. */
export async function makeTestShare(options: TestShareOptions = {}): Promise<TestShare> {
  await using resources = new AsyncDisposableStack();
  const server = resources.use(await startGanesha(options));
  const proxy = resources.use(await startTcpProxy(server));
  const isV3 = options.protocols === '3';
  // The portmapper would tell the server's own port, and lead past the relay.
  const mountProxy = isV3
    ? resources.use(await startTcpProxy({ host: server.host, port: server.mountPort }))
    : undefined;
  const config = {
    server: proxy.host,
    port: proxy.listenPort,
    export_path: server.exportPath,
    mode: 'direct',
    mount_options: mountProxy === undefined ? 'vers=4.1' : `vers=3,mountport=${mountProxy.listenPort}`,
  } as const;
  const { volumeId } = await prepareNfs(config);
  const created = { ...config, volumeId, ownerId: 'hub-1', timeLimitMs: options.timeLimitMs ?? 10_000 };
  const backend = resources.use(createNfsBackend(created));
  const owned = resources.move();
  return {
    server,
    proxy,
    backend,
    options: created,
    onDisk: (path) => join(server.root, path),
    staged: () => readdir(join(server.root, '.holdfast/staging')),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
