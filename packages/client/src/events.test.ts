import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Event } from '@holdfast/contract/events';
import { startHub, type HubUnderTest } from '@holdfast/test-support/hub';
import { startTcpProxy, type TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { createClient, type HubClient } from './client.ts';
import { events } from './events.ts';

describe('following events', () => {
  let hub: HubUnderTest;
  let proxy: TcpProxy;
  let client: HubClient;
  let id: string;
  beforeAll(async () => {
    hub = await startHub();
    proxy = await startTcpProxy({ port: Number(new URL(hub.url).port) });
    client = createClient({ url: `http://127.0.0.1:${proxy.listenPort}`, apiKey: hub.adminKey });
    id = (await client.call('listBackends')).data[0]?.id ?? '';
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await hub[Symbol.asyncDispose]();
  });

  /** Not through the proxy, which is cut when the event has been seen, maybe before the answer. */
  async function store(path: string): Promise<void> {
    await createClient({ url: hub.url, apiKey: hub.adminKey }).call('uploadFile', {
      params: { id },
      query: { path },
      body: path,
    });
  }

  it('tells the asked types, again after a lost connection, and ends when it is cancelled', async () => {
    const cancel = new AbortController();
    const lost: string[] = [];
    let connections = 0;
    const seen: Event[] = [];
    const following = events(client, {
      types: ['file.changed'],
      signal: cancel.signal,
      onConnected: () => {
        connections += 1;
        void store(`/seen/${connections}`);
      },
      onWaiting: ({ error }) => lost.push(error.message),
    });
    for await (const event of following) {
      seen.push(event);
      if (seen.length === 1) proxy.cut();
      else cancel.abort();
    }
    expect(seen.map((event) => [event.type, 'path' in event && event.path])).toEqual([
      ['file.changed', '/seen/1'],
      ['file.changed', '/seen/2'],
    ]);
    expect(lost[0]).toContain('was lost');
  });

  it('throws when the key is not known', async () => {
    const stranger = createClient({ url: hub.url, apiKey: 'x'.repeat(40) });
    await expect(events(stranger).next()).rejects.toMatchObject({ code: 'unauthenticated' });
  });
});
