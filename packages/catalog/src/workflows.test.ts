import { expect, test } from 'vitest';
import { describeDialects } from './dialect-fixture.ts';
import type { NewWorkflow } from './workflows.ts';

const debian: NewWorkflow = {
  name: 'debian',
  installMethod: 'kernel',
  kernelPath: '/debian/linux',
  initrdPath: '/debian/initrd.gz',
  cmdline: 'auto url=${server}/preseed token=${node_token}',
  architecture: 'x86_64',
  bootMode: 'uefi',
};

describeDialects(({ open }) => {
  test('a workflow is read back as it was inserted, and listed by name', async () => {
    const { workflows } = await open();
    const inserted = await workflows.insert(debian);
    expect(inserted).toMatchObject({ ...debian, bootUrl: null });
    expect(await workflows.get(inserted.id)).toEqual(inserted);
    expect(await workflows.get('unknown')).toBeNull();
    const alpine = await workflows.insert({ ...debian, name: 'alpine' });
    expect(await workflows.list()).toEqual([alpine, inserted]);
  });

  test('a patch changes what it names and nothing else', async () => {
    const { workflows } = await open();
    const inserted = await workflows.insert(debian);
    const updated = await workflows.update(inserted.id, {
      initrdPath: null,
      bootUrl: 'http://x/',
      architecture: 'arm64',
    });
    expect(updated).toMatchObject({
      ...debian,
      initrdPath: null,
      bootUrl: 'http://x/',
      architecture: 'arm64',
    });
    expect(await workflows.update('unknown', { name: 'x' })).toBeNull();
  });

  test('a name is given once', async () => {
    const { workflows } = await open();
    await workflows.insert(debian);
    const other = await workflows.insert({ ...debian, name: 'other' });
    const refusal = {
      code: 'name_taken',
      message: expect.stringContaining('"debian"'),
      errors: [{ field: 'name' }],
    };
    await expect(workflows.insert(debian)).rejects.toMatchObject(refusal);
    await expect(workflows.update(other.id, { name: 'debian' })).rejects.toMatchObject(refusal);
  });

  test('one that nodes refer to is removed by force only', async () => {
    const { workflows, nodes } = await open();
    const { id } = await workflows.insert(debian);
    const first = await nodes.insert({ mac: '52:54:00:00:00:01', workflowId: id });
    await expect(workflows.remove(id)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('"debian" is used by 1 node.'),
    });
    await nodes.insert({ mac: '52:54:00:00:00:02', workflowId: id });
    await expect(workflows.remove(id, { force: false })).rejects.toMatchObject({
      message: expect.stringContaining('is used by 2 nodes.'),
    });
    expect(await workflows.remove(id, { force: true })).toBe(true);
    expect(await nodes.get(first.id)).toMatchObject({ workflowId: null });
    expect(await workflows.remove(id)).toBe(false);
  });

  test('removal by force succeeds whoever takes the workflow up meanwhile', async () => {
    const { workflows, nodes } = await open();
    const made = await Promise.all(
      Array.from({ length: 8 }, (_, index) => nodes.insert({ mac: `52:54:00:00:00:0${index}` })),
    );
    for (let round = 0; round < 5; round += 1) {
      const { id } = await workflows.insert(debian);
      const takeUpUntilRefused = async (nodeId: string): Promise<never> => {
        for (;;) {
          await nodes.update(nodeId, { workflowId: id });
          await nodes.update(nodeId, { workflowId: null });
        }
      };
      const taking = Promise.allSettled(made.map((node) => takeUpUntilRefused(node.id)));
      expect(await workflows.remove(id, { force: true })).toBe(true);
      for (const outcome of await taking)
        expect(outcome).toMatchObject({ reason: { code: 'workflow_not_found' } });
      const { rows } = await nodes.list({ limit: 10 });
      expect(rows.map(({ workflowId }) => workflowId)).toEqual(made.map(() => null));
    }
  });

  test('one that a node takes up while it is removed is never left dangling', async () => {
    const { workflows, nodes } = await open();
    for (let round = 0; round < 10; round += 1) {
      const { id } = await workflows.insert(debian);
      const node = await nodes.seen({ mac: '52:54:00:00:00:01', at: new Date() });
      const [removed, taken] = await Promise.allSettled([
        workflows.remove(id),
        nodes.update(node.node.id, { workflowId: id }),
      ]);
      // Whoever came second was told.
      expect([removed.status, taken.status].toSorted()).toEqual(['fulfilled', 'rejected']);
      const refused = removed.status === 'rejected' ? removed : taken;
      expect(refused).toMatchObject({
        reason: { code: removed.status === 'rejected' ? 'conflict' : 'workflow_not_found' },
      });
      await workflows.remove(id, { force: true });
    }
  });
});
