import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { iscsiTargets } from '@holdfast/contract/luns';
import { node } from '@holdfast/contract/nodes';
import { type Operation, operation } from '@holdfast/contract/operations';
import { type HubUnderTest, startHub } from '../support/hub.ts';
import { bootBackendId, json, uploadStream } from '../support/hub-storage.ts';
import { RandomContent } from '../support/random-file.ts';
import { startTgt } from '../support/tgt.ts';

const mebibyte = 1024 ** 2;
const image = new RandomContent('disk image', 12 * mebibyte);

describe('a boot LUN', () => {
  const resources = new AsyncDisposableStack();
  let hub: HubUnderTest;
  let server: Awaited<ReturnType<typeof startTgt>>;
  let nodeId: string;

  beforeAll(async () => {
    server = resources.use(await startTgt({ sizeBytes: 32 * mebibyte }));
    hub = resources.use(await startHub());
    await uploadStream(hub, await bootBackendId(hub), '/images/disk.raw', image.stream(), image.size);
    const made = await hub.data(
      node,
      '/api/v1/nodes',
      json('POST', { mac: '52:54:00:00:02:01', name: 'diskless' }),
    );
    nodeId = made.id;
  });

  afterAll(() => resources.disposeAsync());

  /** Asks for the image to be written, and resolves to the operation once it has ended. */
  async function write(more: Record<string, unknown> = {}): Promise<Operation> {
    const access = { target: server.target, portal: '127.0.0.1', port: server.port, lun: server.lun };
    const body = { ...access, image_path: '/images/disk.raw', ...more };
    const { operation_id: id } = await hub.data(
      operation,
      `/api/v1/nodes/${nodeId}/boot-lun`,
      json('POST', body),
    );
    let row: Operation | undefined;
    await expect
      .poll(
        async () => {
          row = await hub.data(operation, `/api/v1/operations/${id}`);
          return row.state;
        },
        { timeout: 60_000 },
      )
      .toBe('finished');
    if (row === undefined) throw new Error('The operation was never read.');
    return row;
  }

  it('is found by asking its server', async () => {
    const found = await hub.data(
      iscsiTargets,
      '/api/v1/storage/iscsi/discover',
      json('POST', { portal: '127.0.0.1', port: server.port }),
    );
    expect(found.targets.map(({ target }) => target)).toContain(server.target);
  });

  it('gets the image, verified, and the node boots it', async () => {
    const done = await write();
    expect(done).toMatchObject({
      success: true,
      details: { sha256: image.sha256(), bytes_verified: image.size },
    });
    const disk = await readFile(server.image);
    expect(disk.subarray(0, image.size).equals(image.bytes())).toBe(true);
    const script = await (await fetch(`${hub.url}/api/v1/boot?mac=52-54-00-00-02-01`)).text();
    expect(script).toContain(`iscsi:127.0.0.1::${server.port}:${server.lun}:${server.target}`);
  });

  it('that is too small is refused, and nothing is written', async () => {
    const huge = new RandomContent('huge image', 40 * mebibyte);
    await uploadStream(hub, await bootBackendId(hub), '/images/huge.raw', huge.stream(), huge.size);
    const refused = await write({ image_path: '/images/huge.raw', overwrite: true });
    expect(refused).toMatchObject({ success: false, error: { code: 'validation_failed' } });
    const disk = await readFile(server.image);
    expect(disk.subarray(0, image.size).equals(image.bytes())).toBe(true);
  });

  it('of an image that is not there is refused at once', async () => {
    const body = { target: server.target, portal: '127.0.0.1', image_path: '/none' };
    const answer = await hub.api(`/api/v1/nodes/${nodeId}/boot-lun`, json('POST', body));
    expect(answer.status).toBe(404);
  });
});
