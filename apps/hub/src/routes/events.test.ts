import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { eventTypes } from '@holdfast/contract/events';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());
afterEach(() => {
  vi.useRealTimers();
});

/** Makes one event of every kind that is seen by scope, and one that everybody sees last. */
async function stirEverything(): Promise<void> {
  const params = { id: hub.backendId };
  await hub.upload('/stirred', 'x');
  await hub.call(endpoints.deleteFile, { params, query: { path: '/stirred' } });
  await hub.request('/api/v1/boot?mac=52:54:00:00:03:01', { key: null });
  hub.context.events.publish({
    type: 'backend.status',
    backend_id: params.id,
    name: 'default',
    status: 'online',
    status_message: null,
  });
  await hub.call(endpoints.updateSettings, { body: { operation_retention_days: 30 } });
}

describe('the event stream', () => {
  it('tells an administrator everything, in the order in which it happened', async () => {
    await using client = await openEvents(hub);
    await stirEverything();
    await client.firstOf('settings.changed');
    expect(client.received.map(({ type }) => type)).toEqual([
      'file.changed',
      'operation.finished',
      'file.deleted',
      'operation.finished',
      'node.seen',
      'backend.status',
      'settings.changed',
    ]);
    const times = client.received.map(({ at }) => Date.parse(at));
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  it.each([
    ['files:read', ['file.changed', 'file.deleted', 'settings.changed']],
    ['backends:read', ['backend.status', 'settings.changed']],
    ['boot:read', ['node.seen', 'settings.changed']],
    ['settings:write', ['settings.changed']],
  ])('tells a key with %s what that lets it read', async (scope, types) => {
    const { token } = await hub.issueKey({ name: `only ${scope}`, scopes: [scope] });
    await using client = await openEvents(hub, { key: token });
    await stirEverything();
    await client.firstOf('settings.changed');
    expect(client.received.map(({ type }) => type)).toEqual(types);
  });

  it('sends only the types that are asked for', async () => {
    await using client = await openEvents(hub, { types: 'file.deleted, settings.changed' });
    await stirEverything();
    await client.firstOf('settings.changed');
    expect(client.received.map(({ type }) => type)).toEqual(['file.deleted', 'settings.changed']);
  });

  it.each(['nonsense', 'file.changed,', 'file.changed;file.deleted', ''])(
    'refuses the types %j before the connection is upgraded',
    async (types) => {
      await expect(openEvents(hub, { types })).rejects.toThrow('422');
      const refused = await hub.refusal(endpoints.subscribeEvents, { query: { types } });
      expect(refused).toMatchObject({ code: 'validation_failed', errors: [{ field: 'types' }] });
      expect(refused.detail).toContain(eventTypes[0]);
    },
  );

  it('refuses who has no key, and says so to who is no WebSocket', async () => {
    await expect(openEvents(hub, { key: null })).rejects.toThrow('401');
    await expect(openEvents(hub, { key: 'hf_unknown' })).rejects.toThrow('401');
    const refused = await hub.refusal(endpoints.subscribeEvents);
    expect(refused.detail).toContain('WebSocket');
  });

  it('ignores what clients say, and hangs up on one that says too much', async () => {
    await using client = await openEvents(hub);
    client.socket.send('{"type": "subscribe"}');
    await hub.upload('/said', 'x');
    await client.firstOf('file.changed');
    client.socket.send('x'.repeat(65 * 1024));
    const [code]: unknown[] = await once(client.socket, 'close');
    expect(code).toBe(1009);
  });

  it('hangs up on a client that does not keep up, and on no other', async () => {
    await using slow = await openEvents(hub, { types: 'file.deleted' });
    await using quick = await openEvents(hub, { types: 'file.deleted,settings.changed' });
    slow.socket.pause();
    const path = `/${'x'.repeat(4000)}`;
    const sent = 8000; // 32 MB: beyond what the kernel holds for both ends
    for (let index = 0; index < sent; index++) {
      hub.context.events.publish({ type: 'file.deleted', backend_id: 'b', path });
      if (index % 100 === 0) await new Promise(setImmediate); // lets the quick one read
    }
    hub.context.events.publish({ type: 'settings.changed', fields: [] });
    await quick.firstOf('settings.changed');
    expect(quick.received).toHaveLength(sent + 1);
    slow.socket.resume();
    const [code]: unknown[] = await once(slow.socket, 'close');
    expect(code).toBe(1013);
    expect(slow.received.length).toBeLessThan(sent);
  });

  it('ends for a key that is revoked', async () => {
    const { id, token } = await hub.issueKey({ scopes: ['files:read'] });
    await using client = await openEvents(hub, { key: token });
    await using other = await openEvents(hub);
    const closed = once(client.socket, 'close');
    await hub.call(endpoints.revokeKey, { params: { id } });
    const [code]: unknown[] = await closed;
    expect(code).toBe(1008);
    await hub.upload('/after', 'x');
    await other.first((event) => event.type === 'file.changed' && event.path === '/after');
  });

  it('ends for a key that has expired, at the next heartbeat', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
    const body = {
      name: 'for a minute',
      scopes: ['files:read'],
      expires_at: new Date(Date.now() + 60_000).toISOString(),
    };
    const { data } = await hub.call(endpoints.createKey, { body });
    await using client = await openEvents(hub, { key: data.token });
    const closed = once(client.socket, 'close');
    const onHub = [...hub.context.app.websocketServer.clients].at(-1);
    if (onHub === undefined) throw new Error('the hub has no client');
    const answered = once(onHub, 'pong');
    vi.advanceTimersByTime(30_000);
    await answered;
    expect(client.socket.readyState).toBe(client.socket.OPEN);
    vi.advanceTimersByTime(30_000);
    const [code]: unknown[] = await closed;
    expect(code).toBe(1008);
  });

  it('ends for a client that answers no ping', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    await using client = await openEvents(hub);
    const closed = once(client.socket, 'close');
    client.socket.pause();
    vi.advanceTimersByTime(30_000);
    vi.advanceTimersByTime(30_000);
    client.socket.resume();
    const [code]: unknown[] = await closed;
    expect(code).toBe(1006);
  });

  it('ends with 1001 when the hub shuts down', async () => {
    await using own = await startTestHub();
    await using client = await openEvents(own);
    const closed = once(client.socket, 'close');
    await own.drain();
    const [code]: unknown[] = await closed;
    expect(code).toBe(1001);
  });
});
