import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { bootBackend } from '@holdfast/test-support/hub-storage';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { RandomContent } from '@holdfast/test-support/random-file';
import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { createClient } from '../client.ts';
import type { HubClient } from '../client.ts';
import type { DownloadWhat } from './download-source.ts';

/** A hub with files, and a way to it that can break. */
export interface Downloads extends AsyncDisposable {
  hub: HubUnderTest;
  direct: HubClient;
  /** A relay of its own, and a client that goes through it. */
  relayed(): Promise<{ proxy: TcpProxy; url: string; client: HubClient } & AsyncDisposable>;
  /** Puts a file at a path below the backend's root, in place of what is there. */
  put(name: string, size: number, seed?: string): Promise<{ what: DownloadWhat; content: RandomContent }>;
}

export async function startDownloads(): Promise<Downloads> {
  const hub = await startHub();
  const { id, root } = await bootBackend(hub);
  return {
    hub,
    direct: createClient({ url: hub.url, apiKey: hub.adminKey }),
    async relayed() {
      const proxy = await startTcpProxy({ port: Number(new URL(hub.url).port) });
      const url = `http://${proxy.host}:${proxy.listenPort}`;
      const client = createClient({ url, apiKey: hub.adminKey });
      return { proxy, url, client, [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose]() };
    },
    async put(name, size, seed = name) {
      const content = new RandomContent(seed, size);
      await content.writeTo(join(root, name));
      return { what: { backend_id: id, path: `/${name}` }, content };
    },
    [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
  };
}

/** Resets all connections again and again, each time when so many more bytes have come to the client. */
export async function keepCutting(proxy: TcpProxy, everyBytes: number, until: AbortSignal): Promise<number> {
  let cuts = 0;
  const { promise: ended, resolve } = Promise.withResolvers<undefined>();
  until.addEventListener('abort', () => resolve(undefined), { once: true });
  while (!until.aborted) {
    await Promise.race([proxy.passed('toClient', proxy.bytes.toClient + everyBytes), ended]);
    if (until.aborted) break;
    proxy.cut();
    cuts += 1;
  }
  return cuts;
}

/** The names in a folder, hidden ones included. */
export async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).toSorted();
}
