import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import type { TcpProxy } from '@holdfast/test-support/tcp-proxy';
import { startTgt } from '@holdfast/test-support/tgt';
import type { TgtServer } from '@holdfast/test-support/tgt';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal, requireRefusal } from '../../conformance/subject.ts';
import { withDigests } from '../testing/scratch-lun.ts';
import { IscsiDisk } from './disk.ts';
import type { DiskOptions } from './disk.ts';
import { breakFence, fenceState, newFenceKey } from './fence.ts';
import { isidFor, randomIsid } from './isid.ts';
import { LogicalUnit } from './logical-unit.ts';
import { IscsiSession } from './session.ts';

const MIB = 1024 * 1024;
const bytes = sampleBytes(3 * MIB, 5);

let server: TgtServer;
let proxy: TcpProxy;
beforeEach(async () => {
  server = await startTgt({ sizeBytes: 16 * MIB, parameters: withDigests });
  proxy = await startTcpProxy({ port: server.port });
});
afterEach(async () => {
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function optionsFor(changes: Partial<DiskOptions> = {}): DiskOptions {
  return {
    portal: { host: '127.0.0.1', port: proxy.listenPort },
    target: server.target,
    lun: server.lun,
    initiatorName: 'iqn.2026-01.test:hub',
    digests: true,
    isid: isidFor('disk'),
    stallMs: 15_000,
    fenceKey: newFenceKey('hub-1'),
    ...changes,
  };
}

async function imageStart(): Promise<Buffer> {
  return (await readFile(server.image)).subarray(0, bytes.byteLength);
}

describe('a disk', () => {
  it('keeps bytes where they are put, and zeroes where they are asked for', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    expect(disk).toMatchObject({ sizeBytes: 16 * MIB, isWriteProtected: false, hasDataDigest: true });
    await disk.write(0, bytes);
    await disk.zero(MIB, MIB);
    await disk.flush();
    const expected = Buffer.from(bytes).fill(0, MIB, 2 * MIB);
    expect((await imageStart()).equals(expected)).toBe(true);
    expect((await disk.read(512, 2 * MIB)).equals(expected.subarray(512, 512 + 2 * MIB))).toBe(true);
  });

  it('refuses what is not whole blocks, or beyond its end', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    for (const [position, length] of [
      [1, 512],
      [0, 100],
      [16 * MIB, 512],
      [-512, 512],
    ] as const) {
      await refusal(disk.read(position, length), 'range_not_satisfiable');
    }
  });

  it('of a write-protected LUN says so', async () => {
    await using locked = await startTgt({ sizeBytes: 16 * MIB, readonly: true });
    const portal = { host: '127.0.0.1', port: locked.port };
    await using disk = await IscsiDisk.open(optionsFor({ portal, target: locked.target }));
    expect(disk.isWriteProtected).toBe(true);
    await refusal(disk.write(0, bytes), 'read_only');
  });
});

describe('a connection that is cut', () => {
  it('again and again in the middle of writes and reads costs nothing but time', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    for (let round = 0; round < 5; round += 1) {
      const at = proxy.bytes.toServer + 700_000 * (round + 1);
      const writing = disk.write(0, bytes);
      void proxy.passed('toServer', Math.min(at, proxy.bytes.toServer + MIB)).then(() => proxy.cut());
      await writing;
      const reading = disk.read(0, bytes.byteLength);
      void proxy.passed('toClient', proxy.bytes.toClient + MIB).then(() => proxy.cut());
      expect((await reading).equals(bytes)).toBe(true);
    }
    expect(disk.reconnects).toBeGreaterThanOrEqual(5);
    expect((await imageStart()).equals(bytes)).toBe(true);
  });

  it('because the server was killed is opened again when it is back, with the reservation', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    const writing = disk.write(0, bytes);
    const restarted = server.kill().then(() => server.restart());
    await Promise.all([writing, restarted]);
    await disk.write(0, bytes);
    expect((await imageStart()).equals(bytes)).toBe(true);
    const second = optionsFor({ fenceKey: newFenceKey('hub-2'), isid: randomIsid() });
    expect((await refusal(IscsiDisk.open(second), 'backend_unavailable')).message).toContain('another hub');
  });

  it('for good loses the disk, by a retryable error, once and for all', async () => {
    await using disk = await IscsiDisk.open(optionsFor({ stallMs: 600 }));
    proxy.refuse(true);
    proxy.cut();
    const error = await refusal(disk.write(0, bytes), 'backend_unavailable');
    expect(error.retryable).toBe(true);
    expect(await disk.lost).toBe(error);
    proxy.refuse(false);
    await expect(disk.read(0, 512)).rejects.toBe(error);
  });

  it('that leads to another LUN afterwards is not written to', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    await disk.write(0, bytes);
    const admin = ['--lld', 'iscsi', '--mode', 'logicalunit', '--tid', '1', '--lun', '1'];
    await server.admin(...admin, '--op', 'update', '--params', 'scsi_id=another,scsi_sn=another');
    proxy.cut();
    const error = await refusal(disk.write(0, Buffer.alloc(512)), 'wrong_volume');
    expect(error.message).toContain('another one than before');
    expect((await imageStart()).equals(bytes)).toBe(true);
  });
});

describe.each([true, false])('a byte flipped in transit, with digests: %s', (digests) => {
  // In the header of a command, in its data, deep in the data.
  it.each([
    ['toServer', 60_000],
    ['toServer', 700_000],
    ['toServer', 3_000_000],
    ['toClient', 60_000],
    ['toClient', 700_000],
  ] as const)('%s after %i bytes never ends up on the disk', async (direction, afterBytes) => {
    await using disk = await IscsiDisk.open(optionsFor({ digests }));
    const flipped = proxy.flipByte({ direction, afterBytes, mask: 0x04 });
    await disk.write(0, bytes);
    const read = await disk.read(0, bytes.byteLength);
    await flipped;
    expect((await imageStart()).equals(bytes)).toBe(true);
    // Without digests a read is verified by who knows the SHA-256 of the file.
    if (digests) expect(read.equals(bytes)).toBe(true);
    if (digests) expect(disk.reconnects).toBe(1);
  });
});

describe('with digests, a byte flipped anywhere in the first commands', () => {
  it('ends in a new connection, and never in other bytes', async () => {
    for (let afterBytes = 0; afterBytes < 400; afterBytes += 37) {
      await using disk = await IscsiDisk.open(optionsFor());
      for (const direction of ['toServer', 'toClient'] as const) {
        const flipped = proxy.flipByte({ direction, afterBytes, mask: 0x80 });
        await disk.write(0, bytes.subarray(0, 8192));
        expect((await disk.read(0, 8192)).equals(bytes.subarray(0, 8192))).toBe(true);
        await flipped;
      }
      expect(disk.reconnects).toBeGreaterThan(0);
    }
  });
});

describe('an answer that is lost, from a target that is alive', () => {
  it('costs the patience for one command, and the command is sent again', async () => {
    await using disk = await IscsiDisk.open(optionsFor({ digests: false, stallMs: 1000 }));
    // Makes the answer to the write (0x21) look like one to a logout (0x26).
    const flipped = proxy.flipByte({ direction: 'toClient', afterBytes: 0, mask: 0x07 });
    await disk.write(0, bytes.subarray(0, 4096));
    await flipped;
    expect(disk.reconnects).toBe(1);
    expect((await imageStart()).subarray(0, 4096).equals(bytes.subarray(0, 4096))).toBe(true);
  });
});

describe('a login that is garbled', () => {
  it('ends in a login or a clean refusal, whichever byte it is', async () => {
    for (let afterBytes = 0; afterBytes < 300; afterBytes += 23) {
      for (const direction of ['toServer', 'toClient'] as const) {
        const flipped = proxy.flipByte({ direction, afterBytes, mask: 0x11 });
        const outcome = await IscsiDisk.open(optionsFor({ stallMs: 1000, isid: randomIsid() })).catch(
          (error: unknown) => error,
        );
        if (outcome instanceof IscsiDisk) await outcome[Symbol.asyncDispose]();
        else
          expect(requireRefusal(outcome, 'backend_unavailable', 'not_supported', 'read_only')).toBe(outcome);
        await flipped;
      }
    }
    await using disk = await IscsiDisk.open(optionsFor());
    await disk.write(0, bytes);
    expect((await imageStart()).equals(bytes)).toBe(true);
  }, 60_000);
});

describe('the fence', () => {
  async function unitOf(key: string): Promise<{ session: IscsiSession; unit: LogicalUnit; key: Buffer }> {
    const session = await IscsiSession.open({ ...optionsFor(), isid: randomIsid(), timeoutMs: 5000 });
    return { session, unit: new LogicalUnit(session, server.lun), key: newFenceKey(key) };
  }

  it('keeps out writes of whoever has not reserved, and lets reads through', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    await disk.write(0, bytes);
    const unfenced = optionsFor({ fenceKey: undefined, isid: randomIsid() });
    const { session, unit, key } = await unitOf('hub-2');
    await using _session = session;
    expect(await fenceState(unit, key)).toBe('foreign');
    expect(await fenceState(unit, newFenceKey('hub-1'))).toBe('same-owner');
    const opened = IscsiDisk.open(unfenced);
    await refusal(opened, 'backend_unavailable');
    expect((await imageStart()).equals(bytes)).toBe(true);
  });

  it('is taken over by a new start of the same hub, and what is left of the old one is fenced off', async () => {
    await using first = await IscsiDisk.open(optionsFor());
    await first.write(0, bytes);
    // With another ISID: the target does not end the old session by itself.
    await using second = await IscsiDisk.open(
      optionsFor({ isid: randomIsid(), fenceKey: newFenceKey('hub-1') }),
    );
    const error = await refusal(first.write(0, Buffer.alloc(512)), 'backend_unavailable');
    expect(error.message).toContain('another hub has reserved');
    expect((await imageStart()).equals(bytes)).toBe(true);
    await second.write(0, Buffer.alloc(512));
  });

  it('is released with the disk', async () => {
    const first = await IscsiDisk.open(optionsFor());
    await first.write(0, bytes);
    await first[Symbol.asyncDispose]();
    const { session, unit, key } = await unitOf('hub-1');
    await using _session = session;
    expect(await fenceState(unit, key)).toBe('free');
    await using other = await IscsiDisk.open(optionsFor({ fenceKey: newFenceKey('hub-2') }));
    await other.write(0, bytes);
  });

  it('that is broken costs its holder the disk at the next write', async () => {
    await using disk = await IscsiDisk.open(optionsFor());
    await disk.write(0, bytes);
    const { session, unit, key } = await unitOf('hub-2');
    expect(await breakFence(unit, key)).toBe(true);
    await session[Symbol.asyncDispose]();
    await using other = await IscsiDisk.open(optionsFor({ fenceKey: key, isid: randomIsid() }));
    await other.write(0, bytes.subarray(0, MIB));
    const error = await refusal(disk.write(0, Buffer.alloc(512)), 'backend_unavailable');
    expect(error.retryable).toBe(false);
    expect((await disk.lost).message).toContain('another hub has reserved');
    expect((await imageStart()).equals(bytes)).toBe(true);
  });
});
