import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import { startTgt } from '@holdfast/test-support/tgt';
import type { TgtServer } from '@holdfast/test-support/tgt';
import { sha256Hex } from '@holdfast/bytes/sha256';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chunksOf, failingAfter, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal, requireRefusal } from '../conformance/subject.ts';
import { writeLunImage } from './lun-image.ts';
import type { LunImageOptions } from './lun-image.ts';
import { sanbootUri } from './sanboot.ts';
import { chap, ScratchLun, withDigests } from './testing/scratch-lun.ts';

const MIB = 1024 * 1024;
const lunBytes = 24 * MIB;
/** With a boot sector, and an end that fills no block. */
const image = bootable(sampleBytes(17 * MIB + 777, 11));

function bootable(bytes: Buffer): Buffer {
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

let server: TgtServer;
beforeEach(async () => {
  server = await startTgt({ sizeBytes: lunBytes, chap, parameters: withDigests });
});
afterEach(() => server[Symbol.asyncDispose]());

function optionsFor(changes: Partial<LunImageOptions> = {}): LunImageOptions {
  return {
    target: server.target,
    portal: '127.0.0.1',
    port: server.port,
    lun: server.lun,
    chap_enabled: true,
    chap_username: chap.username,
    chap_password: chap.password,
    ownerId: 'hub-1',
    stallMs: 10_000,
    sizeBytes: image.byteLength,
    ...changes,
  };
}

/** What is on the LUN, as far as the image goes. */
async function onLun(): Promise<Buffer> {
  return (await readFile(server.image)).subarray(0, image.byteLength);
}

describe('an image', () => {
  it('is on the LUN byte for byte, verified by its SHA-256, and can be booted from', async () => {
    const steps: string[] = [];
    const options = optionsFor({ expectedSha256: sha256Hex(image), onProgress: (step) => steps.push(step) });
    const result = await writeLunImage(chunksOf(image, 300_001), options);
    expect(result).toEqual({
      bytes: image.byteLength,
      sha256: sha256Hex(image),
      sanbootUri: `iscsi:127.0.0.1::${server.port}:1:${server.target}`,
    });
    expect((await onLun()).equals(image)).toBe(true);
    expect(new Set(steps)).toEqual(new Set(['written', 'verified']));
  });

  it.each([true, false])(
    'is right though bytes are flipped on their way, with digests: %s',
    async (digests) => {
      await using proxy = await startTcpProxy({ port: server.port });
      for (const direction of ['toServer', 'toClient'] as const) {
        const flipped = proxy.flipByte({ direction, afterBytes: 3 * MIB });
        const options = optionsFor({ port: proxy.listenPort, digests, overwrite: true });
        // Without digests a byte flipped while the image is read back is found by its SHA-256.
        const outcome = await writeLunImage(chunksOf(image), options).catch((error: unknown) => error);
        await flipped;
        if (outcome instanceof Error) requireRefusal(outcome, 'checksum_mismatch');
        else expect((await onLun()).equals(image)).toBe(true);
        if (digests) expect(outcome).toMatchObject({ sha256: sha256Hex(image) });
      }
    },
  );

  it('survives the end of the server in the middle', async () => {
    async function* source(): AsyncGenerator<Uint8Array> {
      yield image.subarray(0, 9 * MIB);
      await server.kill();
      const restarted = server.restart();
      yield image.subarray(9 * MIB);
      await restarted;
    }
    expect((await writeLunImage(source(), optionsFor())).sha256).toBe(sha256Hex(image));
    expect((await onLun()).equals(image)).toBe(true);
  });
});

describe('before a byte is written', () => {
  async function expectUntouched(write: () => Promise<unknown>): Promise<void> {
    const before = await readFile(server.image);
    await write();
    expect((await readFile(server.image)).equals(before)).toBe(true);
  }

  it('a LUN that carries something is refused, unless it may be overwritten', async () => {
    await writeLunImage(chunksOf(image), optionsFor());
    const next = bootable(sampleBytes(2 * MIB, 3));
    await expectUntouched(async () => {
      const options = optionsFor({ sizeBytes: next.byteLength });
      const error = await refusal(writeLunImage(chunksOf(next), options), 'validation_failed');
      expect(error.message).toContain('mbr');
      expect(error.errors?.[0]?.field).toBe('overwrite');
    });
    await writeLunImage(chunksOf(next), optionsFor({ sizeBytes: next.byteLength, overwrite: true }));
    expect((await onLun()).subarray(0, next.byteLength).equals(next)).toBe(true);
  });

  it('a LUN that is too small is refused', () =>
    expectUntouched(async () => {
      const error = await refusal(
        writeLunImage(chunksOf(image), optionsFor({ sizeBytes: lunBytes + 1 })),
        'validation_failed',
      );
      expect(error.message).toContain(String(lunBytes));
    }));

  it('a LUN that is mounted is refused, whichever hub has it', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.usage();
    for (const ownerId of [lun.surroundings.ownerId, 'hub-2']) {
      const options = optionsFor({ ...lun.config, ownerId, overwrite: true });
      expect(
        (await refusal(writeLunImage(chunksOf(image), options), 'backend_unavailable')).message,
      ).toContain('reserved');
    }
    expect(await lun.backend.usage()).toMatchObject({ totalBytes: expect.any(Number) });
  });

  it('a second image for the same LUN is refused while the first is under way', async () => {
    let second: Promise<unknown> = Promise.resolve();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield image.subarray(0, MIB);
      second = refusal(writeLunImage(chunksOf(image), optionsFor()), 'conflict');
      await second;
      yield image.subarray(MIB);
    }
    await writeLunImage(source(), optionsFor());
    await second;
  });
});

describe('an image that does not come whole', () => {
  it.each([
    ['too short', (): LunImageOptions => optionsFor({ sizeBytes: image.byteLength + 1 }), 'incomplete_body'],
    ['too long', (): LunImageOptions => optionsFor({ sizeBytes: image.byteLength - 1 }), 'incomplete_body'],
    [
      'with another SHA-256',
      (): LunImageOptions => optionsFor({ expectedSha256: sha256Hex('') }),
      'checksum_mismatch',
    ],
  ] as const)('%s does not boot', async (_name, options, code) => {
    await refusal(writeLunImage(chunksOf(image), options()), code);
    expect((await onLun()).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
    await writeLunImage(chunksOf(image), optionsFor());
  });

  it('because its source fails does not boot, and the error is passed on', async () => {
    const failure = new Error('the sender has gone');
    await expect(writeLunImage(failingAfter(image, failure), optionsFor())).rejects.toBe(failure);
    expect((await onLun()).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });

  it('because it is cancelled does not boot', async () => {
    const controller = new AbortController();
    async function* source(): AsyncGenerator<Uint8Array> {
      yield image.subarray(0, 2 * MIB);
      controller.abort();
      yield image.subarray(2 * MIB);
    }
    await refusal(writeLunImage(source(), optionsFor({ signal: controller.signal })), 'cancelled');
    expect((await onLun()).subarray(0, MIB).equals(Buffer.alloc(MIB))).toBe(true);
  });
});

describe('the address for sanboot', () => {
  it.each([
    [{ host: '10.0.0.5', port: 3260 }, 0, 'iscsi:10.0.0.5::3260:0:iqn.2026-01.x:y'],
    [{ host: 'store', port: 13_260 }, 26, 'iscsi:store::13260:1a:iqn.2026-01.x:y'],
    [{ host: 'fd00::5', port: 3260 }, 1, 'iscsi:[fd00::5]::3260:1:iqn.2026-01.x:y'],
  ])('of %j LUN %i is as RFC 4173 says', (portal, lun, expected) => {
    expect(sanbootUri(portal, lun, 'iqn.2026-01.x:y')).toBe(expected);
  });
});
