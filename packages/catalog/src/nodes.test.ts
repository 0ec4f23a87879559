import { expect, test } from 'vitest';
import { describeDialects } from './dialect-fixture.ts';

const mac = '52:54:00:12:34:56';
const macOf = (index: number): string =>
  `52:54:00:${index
    .toString(16)
    .padStart(6, '0')
    .replace(/(..)(..)(..)/, '$1:$2:$3')}`;

describeDialects(({ open, freshUrl }) => {
  test('a node is read back as it was inserted', async () => {
    const { nodes, workflows } = await open();
    const workflow = await workflows.insert({
      name: 'w',
      installMethod: 'kernel',
      architecture: 'x86_64',
      bootMode: 'uefi',
    });
    const full = await nodes.insert({
      mac,
      name: 'rack 1',
      state: 'pending',
      workflowId: workflow.id,
      arch: 'x86_64',
      uuid: 'uuid',
      serial: 'serial',
      vendor: 'vendor',
      model: 'model',
      lastIp: '10.0.0.1',
      tokenHash: 'hash',
      lastSeenAt: new Date(5_000_000_000_000),
      installedAt: new Date(7),
    });
    expect(full).toMatchObject({
      workflowId: workflow.id,
      lastSeenAt: new Date(5_000_000_000_000),
      model: 'model',
    });
    expect(await nodes.get(full.id)).toEqual(full);
    expect(await nodes.getByMac(mac)).toEqual(full);
    expect(await nodes.insert({ mac: '52:54:00:12:34:57' })).toMatchObject({
      state: 'discovered',
      name: null,
      tokenHash: null,
    });
    expect(await nodes.get('unknown')).toBeNull();
    expect(await nodes.getByMac('unknown')).toBeNull();
  });

  test('a MAC is one node, and is written in one form', async () => {
    const { nodes } = await open();
    await nodes.insert({ mac });
    const other = await nodes.insert({ mac: '52:54:00:00:00:01' });
    const taken = { code: 'conflict', message: expect.stringContaining(mac), errors: [{ field: 'mac' }] };
    await expect(nodes.insert({ mac })).rejects.toMatchObject(taken);
    await expect(nodes.update(other.id, { mac })).rejects.toMatchObject(taken);
    for (const wrong of ['52-54-00-12-34-56', '52:54:00:12:34:5A', '525400123456', '', `${mac}\n`]) {
      const refusal = { code: 'invalid_request', errors: [{ field: 'mac' }] };
      await expect(nodes.insert({ mac: wrong })).rejects.toMatchObject(refusal);
      await expect(nodes.update(other.id, { mac: wrong })).rejects.toMatchObject(refusal);
      await expect(nodes.seen({ mac: wrong, at: new Date() })).rejects.toMatchObject(refusal);
    }
  });

  test('a workflow that does not exist is refused', async () => {
    const { nodes } = await open();
    const node = await nodes.insert({ mac });
    const refusal = { code: 'workflow_not_found', errors: [{ field: 'workflow_id' }] };
    await expect(nodes.update(node.id, { workflowId: 'none' })).rejects.toMatchObject(refusal);
    await expect(nodes.insert({ mac: '52:54:00:00:00:01', workflowId: 'none' })).rejects.toMatchObject(
      refusal,
    );
  });

  test('a patch changes what it names and nothing else', async () => {
    const { nodes } = await open();
    const node = await nodes.insert({ mac, name: 'one', vendor: 'v' });
    expect(
      await nodes.update(node.id, { name: null, state: 'ignored', lastSeenAt: new Date(9) }),
    ).toMatchObject({
      mac,
      name: null,
      vendor: 'v',
      state: 'ignored',
      lastSeenAt: new Date(9),
    });
    expect(await nodes.update('unknown', { name: 'x' })).toBeNull();
    expect(await nodes.remove(node.id)).toBe(true);
    expect(await nodes.remove(node.id)).toBe(false);
  });

  test('a first sighting makes a node, a later one fills in what it tells', async () => {
    const { nodes } = await open();
    const first = await nodes.seen({ mac, uuid: 'u', vendor: 'v', ip: '10.0.0.1', at: new Date(1_000) });
    expect(first.created).toBe(true);
    expect(first.node).toMatchObject({
      state: 'discovered',
      uuid: 'u',
      lastIp: '10.0.0.1',
      lastSeenAt: new Date(1_000),
    });
    await nodes.update(first.node.id, { state: 'retired', name: 'kept' });
    const second = await nodes.seen({ mac, vendor: 'w', serial: 's', ip: null, at: new Date(2_000) });
    expect(second.created).toBe(false);
    expect(second.node).toMatchObject({
      id: first.node.id,
      state: 'retired',
      name: 'kept',
      uuid: 'u',
      vendor: 'w',
      serial: 's',
      lastIp: '10.0.0.1',
      lastSeenAt: new Date(2_000),
    });
    const late = await nodes.seen({ mac, at: new Date(1_500) });
    expect(late.node.lastSeenAt).toEqual(new Date(2_000));
  });

  test('twenty first boots at once, seen by two hubs, make one node', async () => {
    const url = await freshUrl();
    const hubs = [await open(url), await open(url)] as const;
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        hubs[index % 2 === 0 ? 0 : 1].nodes.seen({ mac, at: new Date(index) }),
      ),
    );
    expect(results.filter(({ created }) => created)).toHaveLength(1);
    expect(new Set(results.map(({ node }) => node.id)).size).toBe(1);
    const { rows, total } = await hubs[0].nodes.list({ limit: 10 });
    expect(total).toBe(1);
    expect(rows[0]?.lastSeenAt).toEqual(new Date(19));
  });

  test('a token works once, for its node alone', async () => {
    const { nodes } = await open();
    const node = await nodes.insert({ mac, state: 'installing' });
    const other = await nodes.insert({ mac: '52:54:00:00:00:01' });
    expect(await nodes.issueToken('unknown', 'hash')).toBeNull();
    await nodes.issueToken(node.id, 'old');
    expect(await nodes.issueToken(node.id, 'hash')).toMatchObject({ tokenHash: 'hash', state: 'installing' });
    expect(await nodes.consumeToken(node.id, 'old', new Date(1))).toBeNull();
    expect(await nodes.consumeToken(other.id, 'hash', new Date(1))).toBeNull();
    const results = await Promise.all(
      Array.from({ length: 10 }, (_, index) => nodes.consumeToken(node.id, 'hash', new Date(1_000 + index))),
    );
    const [winner, ...losers] = results.filter((result) => result !== null);
    expect(losers).toEqual([]);
    expect(winner).toMatchObject({ id: node.id, state: 'installed', tokenHash: null });
    expect(await nodes.get(node.id)).toEqual(winner);
  });

  test('a list goes through 2,500 nodes exactly once, new ones arriving meanwhile', async () => {
    const { nodes } = await open();
    const expected = new Set<string>();
    for (let start = 0; start < 2_500; start += 250) {
      const batch = Array.from({ length: 250 }, (_, index) =>
        nodes.insert({ mac: macOf(start + index), state: index % 2 === 0 ? 'active' : 'discovered' }),
      );
      for (const node of await Promise.all(batch)) expected.add(node.id);
    }
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await nodes.list({ limit: 300, cursor });
      expect(page.total).toBe(2_500 + (cursor === undefined ? 0 : 1));
      seen.push(...page.rows.map(({ id }) => id));
      if (cursor === undefined) await nodes.seen({ mac, at: new Date() });
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(new Set(seen).size).toBe(seen.length);
    expect([...expected].filter((id) => !seen.includes(id))).toEqual([]);

    const active = await nodes.list({ limit: 1_000, state: 'active' });
    expect(active.total).toBe(1_250);
    expect(active.rows).toHaveLength(1_000);
    expect(active.rows.every(({ state }) => state === 'active')).toBe(true);
    const rest = await nodes.list({ limit: 1_000, state: 'active', cursor: active.nextCursor });
    expect(rest.rows).toHaveLength(250);
    expect(rest.nextCursor).toBeUndefined();
    await expect(nodes.list({ limit: 1, cursor: 'nonsense' })).rejects.toMatchObject({
      code: 'invalid_request',
      errors: [{ field: 'cursor' }],
    });
  });
});
