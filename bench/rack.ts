import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { startHub } from '@holdfast/test-support/hub';
import { changeSettings } from '@holdfast/test-support/hub-storage';
import { RandomContent } from '@holdfast/test-support/random-file';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { adoptFolder } from './adopt-folder.ts';
import { median, percentile, residentMiB, table } from './measure.ts';

const MIB = 1024 ** 2;
const BUDGET_MBPS = 1000;
const KERNEL = new RandomContent('kernel', 14 * MIB);
const INITRD = new RandomContent('initrd', 30 * MIB);

/** A rack that is switched on at once: every node fetches its script, a 14 MiB kernel and a 30 MiB initrd. */
export async function rack({ quick }: { quick: boolean }): Promise<void> {
  const nodes = quick ? 50 : 500;
  await using work = await makeTempDir('bench-rack');
  const root = work.join('files');
  await mkdir(root);
  await pipeline(KERNEL.stream(), createWriteStream(work.join('files', 'vmlinuz')));
  await pipeline(INITRD.stream(), createWriteStream(work.join('files', 'initrd.img')));
  await using hub = await startHub({ env: { HOLDFAST_LOG_LEVEL: 'warn' } });
  await adoptFolder(hub, root);
  await changeSettings(hub, { file_serving_bandwidth_mbps: BUDGET_MBPS });
  const expected = [KERNEL.sha256(), INITRD.sha256()];

  const startedAt = performance.now();
  const boots = Array.from({ length: nodes }, async (_, index) => {
    const address = `127.1.${Math.floor(index / 200)}.${(index % 200) + 1}`;
    const mac = `52-54-00-00-${hex(index >> 8)}-${hex(index & 255)}`;
    await fetchDigest(`${hub.url}/api/v1/boot?mac=${mac}`, address);
    const digests = [
      await fetchDigest(`${hub.url}/api/v1/files/vmlinuz`, address),
      await fetchDigest(`${hub.url}/api/v1/files/initrd.img`, address),
    ];
    if (digests.join() !== expected.join()) throw new Error(`node ${mac} got other bytes`);
    return (performance.now() - startedAt) / 1000;
  });
  const seconds = await Promise.all(boots);
  const ideal = (nodes * (KERNEL.size + INITRD.size) * 8) / (BUDGET_MBPS * 1e6);
  const last = Math.max(...seconds);
  process.stdout.write(`\n${nodes} nodes at once, 44 MiB each, ${BUDGET_MBPS} Mbit/s: all bytes verified\n`);
  process.stdout.write(
    `${table(
      ['', 'p50 s', 'p95 s', 'last s', 'bytes / budget s', 'last to that', 'hub MiB'],
      [
        [
          'holdfast',
          median(seconds).toFixed(1),
          percentile(seconds, 0.95).toFixed(1),
          last.toFixed(1),
          ideal.toFixed(1),
          (last / ideal).toFixed(3),
          residentMiB(hub.pid).toFixed(0),
        ],
      ],
    )}\n`,
  );
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** Fetches from an address of this machine; resolves to the SHA-256 of what came. */
function fetchDigest(url: string, localAddress: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get(url, { localAddress, agent: new Agent() }, (response) => {
      const digest = createHash('sha256');
      response.on('data', (chunk: Buffer) => digest.update(chunk));
      response.on('end', () => {
        if (response.statusCode === 200) resolve(digest.digest('hex'));
        else reject(new Error(`${url} answered ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}
