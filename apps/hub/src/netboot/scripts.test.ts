import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { nodeStates, type Node } from '@holdfast/contract/nodes';
import type { Workflow } from '@holdfast/contract/workflows';
import { requestRaw, sendRaw } from '@holdfast/test-support/raw-http';
import { openEvents } from '../testing/event-client.ts';
import { startTestHub, type TestHub } from '../testing/test-hub.ts';

let hub: TestHub;
let workflow: Workflow;
let macs = 0;
beforeAll(async () => {
  hub = await startTestHub();
  const body = {
    name: 'debian',
    install_method: 'kernel',
    kernel_path: '/debian/vmlinuz',
    initrd_path: '/debian/initrd.img',
    cmdline: 'quiet server=${server} mac=${mac} token=${node_token}',
  };
  workflow = (await hub.call(endpoints.createWorkflow, { body })).data;
});
afterAll(() => hub[Symbol.asyncDispose]());

function freshMac(): string {
  macs += 1;
  return `52:54:00:00:00:${macs.toString(16).padStart(2, '0')}`;
}

async function boot(mac: string, query = ''): Promise<string> {
  const answer = await hub.request(`/api/v1/boot?mac=${mac}${query}`, { key: null });
  expect(answer.status).toBe(200);
  return answer.text();
}

async function nodeOf(mac: string): Promise<Node> {
  const { data } = await hub.call(endpoints.listNodes, { query: { limit: 1000 } });
  const found = data.find((node) => node.mac === mac);
  if (found === undefined) throw new Error(`there is no node ${mac}`);
  return found;
}

describe('an unknown machine', () => {
  it('becomes one node, however often it asks at once, and boots its disk', async () => {
    const mac = freshMac();
    await using client = await openEvents(hub, { types: 'node.seen' });
    const spellings = [mac, mac.replaceAll(':', '-'), mac.replaceAll(':', ''), mac.toUpperCase()];
    const scripts = await Promise.all(
      Array.from({ length: 20 }, (_, index) => boot(spellings[index % 4] ?? mac)),
    );
    expect(new Set(scripts).size).toBe(1);
    expect(scripts[0]).toMatch(/^#!ipxe\n/);
    expect(scripts[0]).toContain('booting the local disk');
    const { data } = await hub.call(endpoints.listNodes, { query: { limit: 1000 } });
    expect(data.filter((node) => node.mac === mac)).toHaveLength(1);
    await client.first(() => client.received.length === 20);
    expect(client.received.filter((event) => event.type === 'node.seen' && event.created)).toHaveLength(1);
  });

  it('is known by what it tells, without what would spoil a log', async () => {
    const mac = freshMac();
    const odd = encodeURIComponent(`  To be\n\u0000filled ${'x'.repeat(300)}`);
    await boot(mac, `&uuid=U-1&serial=${odd}&vendor=QEMU&model=&arch=x86_64`);
    expect(await nodeOf(mac)).toMatchObject({
      state: 'discovered',
      uuid: 'U-1',
      vendor: 'QEMU',
      model: null,
      arch: 'x86_64',
      last_ip: '127.0.0.1',
    });
    expect((await nodeOf(mac)).serial).toMatch(/^To befilled x{1,188}$/);
  });

  it.each(['', '?mac=', '?mac=nonsense', '?mac=52:54:00:00:00', '?mac=52:54-00:00:00:00'])(
    'without a proper MAC is refused: %s',
    async (query) => {
      const answer = await hub.request(`/api/v1/boot${query}`, { key: null });
      expect(await answer.json()).toMatchObject({ code: 'validation_failed', errors: [{ field: 'mac' }] });
    },
  );
});

describe('a known machine', () => {
  const installs = new Set(['pending', 'installing']);

  it.each(nodeStates)('in the state %s', async (state) => {
    const mac = freshMac();
    await hub.call(endpoints.createNode, { body: { mac, state, workflow_id: workflow.id } });
    const status = await (await hub.request(`/api/v1/boot/status?mac=${mac}`, { key: null })).text();
    expect(status).toContain(`/api/v1/boot?mac=${mac.replaceAll(':', '-')}`);
    const [ipxe, grub] = [
      await boot(mac),
      await (await hub.request(`/api/v1/boot/grub?mac=${mac}`, { key: null })).text(),
    ];
    if (installs.has(state)) {
      expect(ipxe).toContain(
        `kernel ${hub.url}/api/v1/files/debian/vmlinuz initrd=initrd.img quiet server=${hub.url} mac=${mac} token=`,
      );
      expect(grub).toContain(`(http,${new URL(hub.url).host})/api/v1/files/debian/vmlinuz`);
    } else {
      expect(ipxe).toContain('booting the local disk');
      expect(grub).toContain('booting the local disk');
      expect(ipxe + grub).not.toContain('vmlinuz');
    }
    const after = await nodeOf(mac);
    expect(after.state).toBe(installs.has(state) ? 'installing' : state);
    expect(after.last_seen_at).not.toBeNull();
  });

  it('that is pending without a workflow waits, and is told once there is one', async () => {
    const mac = freshMac();
    await hub.call(endpoints.createNode, { body: { mac, state: 'pending' } });
    expect(await boot(mac)).toContain('No workflow is chosen for this node yet.');
    const status = (): Promise<string> =>
      hub.request(`/api/v1/boot/status?mac=${mac}`, { key: null }).then((answer) => answer.text());
    expect(await status()).toBe('#!ipxe\nexit\n');
    expect((await nodeOf(mac)).state).toBe('pending');
    const { id } = await nodeOf(mac);
    await hub.call(endpoints.updateNode, { params: { id }, body: { workflow_id: workflow.id } });
    expect(await status()).toContain('holdfast-go yes');
    await using client = await openEvents(hub, { types: 'node.booted' });
    expect(await boot(mac)).toContain('vmlinuz');
    expect(await client.firstOf('node.booted')).toMatchObject({
      node_id: id,
      mac,
      state: 'installing',
      workflow_id: workflow.id,
    });
  });

  it('is not changed by asking for its status', async () => {
    const mac = freshMac();
    await hub.request(`/api/v1/boot/status?mac=${mac}`, { key: null });
    await expect(nodeOf(mac)).rejects.toThrow('there is no node');
  });

  it('cannot be added twice, or with a workflow that is not there', async () => {
    const mac = freshMac();
    await hub.call(endpoints.createNode, { body: { mac } });
    expect((await hub.refusal(endpoints.createNode, { body: { mac: mac.toUpperCase() } })).status).toBe(409);
    const unknown = await hub.refusal(endpoints.createNode, {
      body: { mac: freshMac(), workflow_id: 'none' },
    });
    expect(unknown).toMatchObject({ code: 'validation_failed', errors: [{ field: 'workflow_id' }] });
  });

  it('keeps its workflow from being removed, unless by force', async () => {
    const { data: other } = await hub.call(endpoints.createWorkflow, {
      body: { name: 'other', install_method: 'chain', boot_url: '/x.efi' },
    });
    const { data: node } = await hub.call(endpoints.createNode, {
      body: { mac: freshMac(), workflow_id: other.id },
    });
    expect(await hub.refusal(endpoints.deleteWorkflow, { params: { id: other.id } })).toMatchObject({
      code: 'conflict',
    });
    await hub.call(endpoints.deleteWorkflow, { params: { id: other.id }, query: { force: true } });
    expect((await hub.call(endpoints.getNode, { params: { id: node.id } })).data.workflow_id).toBeNull();
  });
});

describe('the generated files', () => {
  it.each(['/api/v1/files/grub/grub.cfg', '/api/v1/files/grub.cfg', '/api/v1/files//grub//grub.cfg'])(
    '%s ask again with the MAC address',
    async (target) => {
      const answer = await requestRaw(hub.url, 'GET', target);
      expect(answer.body.toString()).toContain('/api/v1/boot/grub?mac=$holdfast_mac');
    },
  );

  it.each(['grub/grub.cfg-01-', 'grub/grub.cfg-', 'grub.cfg-01-', 'grub.cfg-'])(
    '%s<mac> is the configuration of the machine',
    async (prefix) => {
      const mac = freshMac();
      await hub.call(endpoints.createNode, { body: { mac, workflow_id: workflow.id } });
      const answer = await requestRaw(hub.url, 'GET', `/api/v1/files/${prefix}${mac.replaceAll(':', '-')}`);
      expect(answer.body.toString()).toContain('/api/v1/files/debian/vmlinuz');
      expect((await nodeOf(mac)).state).toBe('installing');
    },
  );

  it('are not there under other names, and not in place of a real file', async () => {
    expect((await hub.request('/api/v1/files/grub/grub.cfg-nonsense')).status).toBe(404);
    expect((await hub.request('/api/v1/files/grub/other.cfg')).status).toBe(404);
    await hub.upload('/autoexec.ipxe', '#!ipxe\nshell\n');
    expect(await (await hub.request('/api/v1/files/autoexec.ipxe')).text()).toBe('#!ipxe\nshell\n');
  });

  it.each([
    '/api/v1/ipxe/boot.ipxe',
    '/api/v1/boot?mac=52:54:00:00:01:00',
    '/api/v1/boot/grub',
    '/api/v1/files/grub/grub.cfg',
    '/api/v1/boot/status?mac=52:54:00:00:01:00',
  ])('%s has Title-Case headers and an exact length, on HEAD too', async (target) => {
    const [whole, head] = [
      await requestRaw(hub.url, 'GET', target),
      await requestRaw(hub.url, 'HEAD', target),
    ];
    for (const answer of [whole, head]) {
      expect(answer.status).toBe(200);
      expect(answer.header('Content-Length')).toBe(String(whole.body.length));
      expect(answer.header('Content-Type')).toBe('text/plain; charset=utf-8');
      expect(answer.headerLines.join('\n')).not.toMatch(/transfer-encoding|: *$/im);
    }
    expect(head.body).toHaveLength(0);
    expect(whole.body.length).toBeGreaterThan(0);
  });
});

describe('the address in a script', () => {
  const get = (host: string): ReturnType<typeof sendRaw> =>
    sendRaw({
      url: hub.url,
      lines: ['GET /api/v1/ipxe/boot.ipxe HTTP/1.1', `Host: ${host}`, 'Connection: close'],
    });

  it.each(['boot.example.org', 'boot.example.org:8080', '10.0.0.1', '[fd00::1]:8080'])(
    'is the Host that the machine has asked for: %s',
    async (host) => {
      expect((await get(host)).body.toString()).toContain(
        `chain --autofree --replace http://${host}/api/v1/boot?`,
      );
    },
  );

  it.each([
    'evil.example/path',
    'a b',
    'user@evil.example',
    'evil.example || shell',
    '${evil}',
    'a?b',
    'a#b',
    "a'b",
  ])('is never taken from the Host %j', async (host) => {
    const answer = await get(host);
    expect(answer.status).toBe(400);
    expect(answer.body.toString()).not.toContain('#!ipxe');
  });

  it('is the public URL where one is configured, whatever the Host says', async () => {
    await using other = await startTestHub({ publicUrl: 'https://boot.example.org:8443' });
    const lines = ['GET /api/v1/ipxe/boot.ipxe HTTP/1.1', 'Host: evil.example', 'Connection: close'];
    const answer = await sendRaw({ url: other.url, lines });
    expect(answer.body.toString()).toContain(
      'chain --autofree --replace https://boot.example.org:8443/api/v1/boot?',
    );
    expect(answer.body.toString()).not.toContain('evil');
  });
});
