import { mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { endpoints } from '@holdfast/contract/endpoints';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, statusesOf, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let workflowId: string;
let macs = 0;
beforeAll(async () => {
  hub = await startTestHub();
  const body = {
    name: 'linux',
    install_method: 'kernel',
    kernel_path: '/vmlinuz',
    initrd_path: '/initrd',
    cmdline: 'token=${node_token}',
  };
  workflowId = (await hub.call(endpoints.createWorkflow, { body })).data.id;
});
afterAll(() => hub[Symbol.asyncDispose]());

/** Adds a node; resolves to its id and MAC address. */
async function addNode(): Promise<{ id: string; mac: string }> {
  macs += 1;
  const mac = `52:54:00:00:02:${macs.toString(16).padStart(2, '0')}`;
  const { data } = await hub.call(endpoints.createNode, { body: { mac, workflow_id: workflowId } });
  return { id: data.id, mac };
}

/** Boots a machine; resolves to the one-time token on its kernel command line. */
async function bootForToken(mac: string): Promise<string> {
  const script = await (await hub.request(`/api/v1/boot?mac=${mac}`, { key: null })).text();
  const token = / token=(\w+)/.exec(script)?.[1];
  if (token === undefined) throw new Error(`no token in ${script}`);
  return token;
}

function report(
  id: string,
  init: { query?: string; headers?: Record<string, string>; body?: string },
): Promise<Response> {
  const { query = '', headers = {}, body } = init;
  return hub.request(`/api/v1/nodes/${id}/installed${query}`, {
    method: 'POST',
    key: null,
    headers,
    ...(body === undefined ? {} : { body }),
  });
}

describe('the report that a machine is installed', () => {
  const json = 'application/json';
  const form = 'application/x-www-form-urlencoded';

  it.each([
    ['JSON', (token: string) => ({ headers: { 'content-type': json }, body: JSON.stringify({ token }) })],
    ['a form', (token: string) => ({ headers: { 'content-type': form }, body: `token=${token}` })],
    [
      'a body that is the token alone',
      (token: string) => ({ headers: { 'content-type': form }, body: `${token}\n` }),
    ],
    ['the query', (token: string) => ({ query: `?token=${token}` })],
    ['Authorization', (token: string) => ({ headers: { authorization: `Bearer ${token}` } })],
  ])('is taken once with the token of its last boot, in %s', async (_, place) => {
    const { id, mac } = await addNode();
    const token = await bootForToken(mac);
    await using client = await openEvents(hub, { types: 'node.installed' });
    const first = await report(id, place(token));
    expect(await first.json()).toMatchObject({ success: true, data: { id, state: 'installed' } });
    expect(await client.firstOf('node.installed')).toMatchObject({ node_id: id, mac });
    const { data } = await hub.call(endpoints.getNode, { params: { id } });
    expect(data.state).toBe('installed');
    expect(data.installed_at).not.toBeNull();
    const second = await report(id, place(token));
    expect(await second.json()).toMatchObject({ code: 'forbidden', status: 403 });
  });

  it('is taken once when it arrives four times at once', async () => {
    const { id, mac } = await addNode();
    const token = await bootForToken(mac);
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => report(id, { query: `?token=${token}` })),
    );
    expect(statusesOf(answers)).toEqual([200, 403, 403, 403]);
  });

  it('is refused with the token of another boot, of another machine, or a made-up one', async () => {
    const [one, two] = [await addNode(), await addNode()];
    const former = await bootForToken(one.mac);
    const latter = await bootForToken(one.mac);
    const foreign = await bootForToken(two.mac);
    expect(former).not.toBe(latter);
    for (const token of [former, foreign, 'made-up', '0'.repeat(48)]) {
      expect(await (await report(one.id, { query: `?token=${token}` })).json()).toMatchObject({
        code: 'forbidden',
      });
    }
    expect((await report(one.id, { query: `?token=${latter}` })).status).toBe(200);
  });

  it('is refused before the machine has booted, and for no machine at all', async () => {
    const { id } = await addNode();
    expect(await (await report(id, { query: '?token=abc' })).json()).toMatchObject({ code: 'forbidden' });
    expect(await (await report('none', { query: '?token=abc' })).json()).toMatchObject({
      code: 'node_not_found',
    });
  });

  it('is refused without a token, with a huge body, or with broken JSON', async () => {
    const { id, mac } = await addNode();
    await bootForToken(mac);
    expect(await (await report(id, {})).json()).toMatchObject({ code: 'unauthenticated', status: 401 });
    expect(await (await report(id, { body: 'x'.repeat(4097) })).json()).toMatchObject({
      code: 'too_large',
      status: 413,
    });
    expect(await (await report(id, { body: '{"token": ' })).json()).toMatchObject({
      code: 'invalid_request',
      status: 400,
    });
  });

  it('leaves no token in logs, lists or the preview', async () => {
    const { id, mac } = await addNode();
    const token = await bootForToken(mac);
    await report(id, { query: `?token=${token}x` });
    const seen = [
      await (await hub.response(endpoints.listNodes)).text(),
      await (await hub.response(endpoints.previewNode, { params: { id } })).text(),
      hub.logs(),
    ];
    for (const text of seen) expect(text).not.toContain(token);
  });
});

describe('the preview of a node', () => {
  it('tells which files are missing, and what to do', async () => {
    const { id } = await addNode();
    const { data } = await hub.call(endpoints.previewNode, { params: { id } });
    expect(data.ipxe).toContain(`kernel ${hub.url}/api/v1/files/vmlinuz`);
    expect(data.ipxe).toContain('token=one-time-token');
    expect(data.grub).toContain('/api/v1/files/initrd');
    expect(data.problems).toEqual([]);
    expect(data.files).toMatchObject([
      {
        role: 'kernel',
        path: '/vmlinuz',
        exists: false,
        size: null,
        verified: null,
        problem: '/vmlinuz is not on the boot backend: upload it.',
      },
      { role: 'initrd', path: '/initrd', exists: false },
    ]);
  });

  it('verifies those that are there, and changes nothing of the node', async () => {
    const { id } = await addNode();
    await hub.upload('/vmlinuz', 'kernel');
    await mkdir(hub.root, { recursive: true });
    await writeFile(`${hub.root}/initrd`, 'put there by hand');
    const before = await hub.call(endpoints.getNode, { params: { id } });
    const { data } = await hub.call(endpoints.previewNode, { params: { id } });
    expect(data.files).toMatchObject([
      {
        path: '/vmlinuz',
        exists: true,
        size: 6,
        checksum_sha256: sha256Hex('kernel'),
        verified: true,
        problem: null,
      },
      {
        path: '/initrd',
        exists: true,
        checksum_sha256: sha256Hex('put there by hand'),
        verified: null,
        problem: null,
      },
    ]);
    expect(await hub.call(endpoints.getNode, { params: { id } })).toEqual(before);
  });

  it('tells a file whose bytes are no longer those that were stored', async () => {
    const { id } = await addNode();
    await hub.upload('/vmlinuz', 'kernel');
    const { checksums } = hub.context.catalog;
    const good = await checksums.get(hub.backendId, '/vmlinuz');
    if (good === null) throw new Error('the upload has left no record');
    await checksums.put({ ...good, sha256: sha256Hex('another kernel') });
    const { data } = await hub.call(endpoints.previewNode, { params: { id } });
    expect(data.files[0]).toMatchObject({
      verified: false,
      problem: 'The bytes are no longer those that were stored: upload the file again.',
    });
  });

  it('tells what keeps the node from booting', async () => {
    const { data: node } = await hub.call(endpoints.createNode, {
      body: { mac: '52:54:00:00:02:ff', state: 'pending' },
    });
    await hub.call(endpoints.updateSettings, { body: { default_boot_backend_id: null } });
    const { data } = await hub.call(endpoints.previewNode, { params: { id: node.id } });
    expect(data.problems).toEqual([
      'The node has no workflow: set workflow_id, and it boots that.',
      'No boot backend is set: set default_boot_backend_id.',
    ]);
  });
});
