import { Agent, get } from 'node:http';
import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setTimeout as delay } from 'node:timers/promises';
import { bootBackend, changeSettings, store, uploadStream } from '../support/hub-storage.ts';
import { startHub, type HubUnderTest } from '../support/hub.ts';
import { RandomContent } from '../support/random-file.ts';

const mebibyte = 1024 ** 2;
const large = new RandomContent('throttled', 256 * mebibyte);
const small = new RandomContent('small', mebibyte);
let hub: HubUnderTest;

/** A download under way, from an address of its own. */
interface Download {
  bytes(): number;
  done: Promise<void>;
  stop(): void;
}

beforeAll(async () => {
  hub = await startHub({ env: { HOLDFAST_TFTP_PORT: '0' } });
  const { id } = await bootBackend(hub);
  await uploadStream(hub, id, '/large.bin', large.stream(), large.size);
  await store(hub, id, '/small.bin', new Uint8Array(small.bytes()));
});

afterAll(async () => {
  await hub[Symbol.asyncDispose]();
});

function download(path: string, address: string): Download {
  let bytes = 0;
  let stopped = false;
  let end: () => void = () => undefined;
  const done = new Promise<void>((resolve, reject) => {
    const settle = (error: Error): void => (stopped ? resolve() : reject(error));
    const request = get(
      `${hub.url}/api/v1/files${path}`,
      { localAddress: address, agent: new Agent() },
      (response) => {
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.byteLength;
        });
        response.on('end', resolve);
        response.on('error', settle);
      },
    );
    request.on('error', settle);
    end = () => request.destroy();
  });
  return {
    bytes: () => bytes,
    done,
    stop: () => {
      stopped = true;
      end();
    },
  };
}

/** Bytes a second that each download gets within a time, in megabits. */
async function rates(downloads: readonly Download[], seconds: number): Promise<number[]> {
  const before = downloads.map((each) => each.bytes());
  const startedAt = performance.now();
  await delay(seconds * 1000);
  const elapsed = (performance.now() - startedAt) / 1000;
  return downloads.map((each, index) => ((each.bytes() - (before[index] ?? 0)) * 8) / 1e6 / elapsed);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('the bandwidth budget', () => {
  it('is shared evenly by equal transfers, lets a small file through first, and follows its setting', async () => {
    await changeSettings(hub, { file_serving_bandwidth_mbps: 80 });
    const endless = [1, 2, 3, 4].map((host) => download('/large.bin', `127.0.3.${host}`));
    await delay(1500); // what the kernel's buffers took at the start is no measure
    const shares = await rates(endless, 4);
    expect(sum(shares)).toBeGreaterThan(78);
    expect(sum(shares)).toBeLessThan(82);
    for (const share of shares) expect(Math.abs(share - 20)).toBeLessThan(2);

    const startedAt = performance.now();
    await download('/small.bin', '127.0.3.9').done;
    const took = performance.now() - startedAt;
    const atEqualShare = ((mebibyte * 8) / (80e6 / 5)) * 1000;
    expect(took).toBeLessThan(atEqualShare / 3);

    await changeSettings(hub, { file_serving_bandwidth_mbps: 20 });
    await delay(1000);
    const slower = sum(await rates(endless, 3));
    expect(slower).toBeGreaterThan(19);
    expect(slower).toBeLessThan(21);
    for (const each of endless) each.stop();
    await Promise.all(endless.map((each) => each.done));
  });

  it('counts TFTP and HTTP together', async () => {
    await changeSettings(hub, { file_serving_bandwidth_mbps: 40 });
    const overHttp = [1, 2].map((host) => download('/large.bin', `127.0.4.${host}`));
    const port = hub.tftp?.split(':')[1] ?? '';
    const overTftp = spawn('atftp', [
      '--option',
      'blksize 1428',
      '--option',
      'windowsize 8',
      '--get',
      '-r',
      'large.bin',
      '-l',
      '/dev/null',
      '127.0.0.1',
      port,
    ]);
    const exited = new Promise<void>((resolve) => {
      overTftp.on('exit', () => resolve());
    });
    await delay(1500);
    const sentBefore = await sentBytes();
    const startedAt = performance.now();
    await delay(4000);
    const sentAfter = await sentBytes();
    const elapsed = (performance.now() - startedAt) / 1000;
    const http = ((sentAfter.http - sentBefore.http) * 8) / 1e6 / elapsed;
    const tftp = ((sentAfter.tftp - sentBefore.tftp) * 8) / 1e6 / elapsed;
    overTftp.kill('SIGKILL');
    for (const each of overHttp) each.stop();
    await Promise.all([exited, ...overHttp.map((each) => each.done)]);
    expect(http + tftp).toBeGreaterThan(38.5);
    expect(http + tftp).toBeLessThan(41);
    expect(tftp).toBeGreaterThan(40 / 3 / 1.5);
  });
});

async function sentBytes(): Promise<{ http: number; tftp: number }> {
  const text = await (await hub.api('/metrics')).text();
  const of = (protocol: string): number =>
    Number(new RegExp(`holdfast_sent_bytes_total\\{protocol="${protocol}"\\} (\\S+)`).exec(text)?.[1]);
  return { http: of('http'), tftp: of('tftp') };
}
