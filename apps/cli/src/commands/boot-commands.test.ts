import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startHub } from '@holdfast/test-support/hub';
import type { HubUnderTest } from '@holdfast/test-support/hub';
import { makeCli } from '../testing/cli.ts';
import type { CliUnderTest } from '../testing/cli.ts';

// Each test starts many processes: on a busy machine that takes its time.
vi.setConfig({ testTimeout: 120_000 });

let hub: HubUnderTest;
let cli: CliUnderTest;
const mac = '52:54:00:12:34:56';

beforeAll(async () => {
  hub = await startHub();
  cli = await makeCli(hub);
});

afterAll(async () => {
  await cli?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

test('a machine is found by MAC, name and identifier, is given a workflow, and is previewed and forgotten', async () => {
  expect(await cli.json('nodesList', ['nodes'])).toEqual({ nodes: [] });
  expect((await hub.api(`/api/v1/boot?mac=${mac}`)).status).toBe(200);
  const create = ['workflows', 'create', 'debian', '--kernel', '/vmlinuz', '--cmdline', 'console=ttyS0'];
  const { workflow } = await cli.json('workflowsCreate', create);
  expect(workflow).toMatchObject({ name: 'debian', install_method: 'kernel', architecture: 'x86_64' });

  const edit = [
    'nodes',
    'edit',
    '52-54-00-12-34-56',
    '--name',
    'rack1',
    '--workflow',
    'debian',
    '--state',
    'pending',
  ];
  expect((await cli.json('nodesEdit', edit)).node).toMatchObject({
    mac,
    name: 'rack1',
    state: 'pending',
    workflow_id: workflow.id,
  });
  const missing = await cli.json('bootPreview', ['boot', 'preview', 'rack1'], { code: 1 });
  expect(missing.files).toMatchObject([{ path: '/vmlinuz', exists: false }]);
  await writeFile(join(cli.home, 'vmlinuz'), 'kernel');
  expect((await cli.run(['put', 'vmlinuz', 'default:/'])).code).toBe(0);
  const preview = await cli.run(['boot', 'preview', 'rack1']);
  expect(preview).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^#!ipxe/) });
  expect((await cli.run(['boot', 'preview', mac, '--format', 'grub'])).stdout).not.toContain('#!ipxe');

  expect((await cli.json('nodesEdit', ['nodes', 'edit', 'rack1', '--name', 'null'])).node.name).toBeNull();
  const { node } = await cli.json('nodesShow', ['nodes', 'show', mac]);
  expect((await cli.run(['nodes', 'rm', mac])).code).toBe(2);
  expect((await cli.run(['workflows', 'rm', 'debian', '--yes'])).code).toBe(4);
  expect(await cli.json('nodesRm', ['nodes', 'rm', node.id, '--yes'])).toEqual({ id: node.id, mac });
  expect((await cli.run(['nodes', 'show', mac])).code).toBe(3);
});

test('workflows are changed, shown and removed', async () => {
  const boot = ['workflows', 'create', 'shell', '--method', 'chain', '--boot-url', '${server}/shell.ipxe'];
  expect((await cli.run(boot)).code).toBe(0);
  const edit = ['workflows', 'edit', 'shell', '--name', 'rescue', '--boot-mode', 'bios'];
  expect((await cli.json('workflowsEdit', edit)).workflow).toMatchObject({
    name: 'rescue',
    boot_mode: 'bios',
  });
  expect((await cli.json('workflowsShow', ['workflows', 'show', 'rescue'])).workflow.boot_mode).toBe('bios');
  expect(await cli.json('workflowsRm', ['workflows', 'rm', 'rescue', '--yes'])).toMatchObject({
    name: 'rescue',
  });
  const { workflows } = await cli.json('workflowsList', ['workflows']);
  expect(workflows.map(({ name }) => name)).not.toContain('rescue');
});

test('errors name what is refused', async () => {
  const relative = await cli.run(['workflows', 'create', 'x', '--kernel', 'vmlinuz']);
  expect(relative.code).toBe(4);
  expect(relative.stderr).toContain('kernel_path: must start with /');
  expect((await cli.run(['workflows', 'show', 'nothing'])).code).toBe(3);
  expect((await cli.run(['nodes', 'edit', mac])).code).toBe(2);
  expect((await cli.run(['nodes', 'list', '--state', 'asleep'])).code).toBe(4);
});
