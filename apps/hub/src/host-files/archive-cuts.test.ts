import { once } from 'node:events';
import { open, readdir, readlink, rename } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endpoints } from '@holdfast/contract/endpoints';
import { openResponse } from '@holdfast/test-support/open-response';
import { RandomContent } from '@holdfast/test-support/random-file';
import { openEvents } from '../testing/event-client.ts';
import { ADMIN_KEY, startTestHub, type TestHub } from '../testing/test-hub.ts';
import { archiveOf, fetchArchive, unpack } from './testing/archives.ts';
import { keepFile, keepFiles } from './testing/kept-files.ts';

let hub: TestHub;
beforeAll(async () => {
  hub = await startTestHub();
});
afterAll(() => hub[Symbol.asyncDispose]());

describe('an archive that cannot be whole', () => {
  /** Flips a byte in the vault, behind the hub's back. */
  async function corrupt(sha256: string): Promise<void> {
    const file = await open(join(hub.root, '.holdfast', 'vault', sha256.slice(0, 2), sha256), 'r+');
    try {
      await file.write(Buffer.from('?'), 0, 1, 0);
    } finally {
      await file.close();
    }
  }

  it.each(['tar', 'zip'])('is cut when a file of a %s does not verify', async (format) => {
    const hostname = `rotten-${format}`;
    const files = ['/1', '/2', '/3'].map((filepath) => ({
      hostname,
      filepath,
      bytes: `${format} ${filepath}`,
    }));
    const kept = await keepFiles(hub, files);
    await corrupt(kept[2]?.sha256 ?? '');
    await expect(fetchArchive(hub, hostname, { format })).rejects.toThrow(/terminated|fetch failed/);
    expect(hub.logs()).toContain(`/3 of ${hostname} came from its backend with other bytes`);
  });

  it('is reset for HTTP/1.0, where the end of the connection would be the end of the body', async () => {
    const kept = await keepFile(hub, { hostname: 'rotten-1.0', filepath: '/1', bytes: 'to be rotten' });
    await corrupt(kept.sha256);
    const { hostname, port } = new URL(hub.url);
    const socket = connect(Number(port), hostname);
    socket.write(`GET ${archiveOf('rotten-1.0')} HTTP/1.0\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`);
    socket.resume();
    const [error] = await once(socket, 'error');
    expect(error).toMatchObject({ code: 'ECONNRESET' });
  });

  it('is refused when the backend of the first file is away, and cut when it goes away later', async () => {
    const other = join(hub.dataDir, 'other');
    const { row } = await hub.context.backends.create({
      name: 'second',
      type: 'local',
      config: { root: other },
      create: true,
    });
    await keepFile(hub, { hostname: 'split', filepath: '/1', bytes: 'on the first' });
    await keepFile(hub, { hostname: 'split', filepath: '/2', bytes: 'on the second' }, { backendId: row.id });
    await rename(other, `${other}.away`);
    await expect(fetchArchive(hub, 'split')).rejects.toThrow(/terminated|fetch failed/);
    const refused = await hub.refusal(endpoints.downloadHostArchive, {
      params: { hostname: 'split' },
      query: { path_prefix: '/2' },
    });
    expect(refused.code).toBe('backend_unavailable');
    await rename(`${other}.away`, other);
    expect(Object.keys(await unpack('tar', await fetchArchive(hub, 'split')))).toEqual(['1', '2']);
  });

  it.each(['tar', 'zip'])(
    'lets go of everything when the client goes away in the middle of a %s',
    async (format) => {
      const hostname = `left-${format}`;
      const bytes = new RandomContent(hostname, 40_000_000).bytes();
      await keepFiles(hub, [
        { hostname, filepath: '/big', bytes },
        ...['/s1', '/s2', '/s3'].map((filepath) => ({ hostname, filepath, bytes: `${format}${filepath}` })),
      ]);
      await using events = await openEvents(hub, { types: 'transfer.finished' });
      const response = await openResponse(hub.url + archiveOf(hostname, { format }), {
        authorization: `Bearer ${ADMIN_KEY}`,
      });
      await once(response, 'readable');
      response.destroy();
      const finished = await events.first(
        (event) => event.type === 'transfer.finished' && event.transfer.path.startsWith(hostname),
      );
      expect(finished).toMatchObject({ outcome: 'aborted' });
      await expect.poll(() => openVaultFiles()).toBe(0);
    },
  );

  /** Descriptors of this process that lead into a vault. */
  async function openVaultFiles(): Promise<number> {
    let count = 0;
    for (const fd of await readdir('/proc/self/fd')) {
      const target = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
      if (target.includes('/.holdfast/vault/') && /[0-9a-f]{64}$/.test(target)) count += 1;
    }
    return count;
  }
});
