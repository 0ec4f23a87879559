import { HoldfastError } from '@holdfast/contract/errors';
import { runProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { TempDir } from '@holdfast/test-support/temp-dir';
import fc from 'fast-check';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleBytes } from '../../conformance/sample-bytes.ts';
import { decodeRequest, nbd } from './nbd-protocol.ts';
import { NbdServer } from './nbd-server.ts';
import type { BlockDevice } from './nbd-server.ts';

const MIB = 1024 * 1024;

/** A disk in memory. */
class MemoryDisk implements BlockDevice {
  readonly bytes = Buffer.alloc(8 * MIB);
  readonly sizeBytes = this.bytes.byteLength;
  readonly blockBytes = 512;
  readonly isReadOnly: boolean;
  flushes = 0;
  failure: HoldfastError | undefined;

  constructor(isReadOnly = false) {
    this.isReadOnly = isReadOnly;
  }

  async read(position: number, length: number): Promise<Buffer> {
    if (this.failure !== undefined) throw this.failure;
    return Buffer.from(this.bytes.subarray(position, position + length));
  }

  async write(position: number, data: Uint8Array): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.bytes.set(data, position);
  }

  async zero(position: number, length: number): Promise<void> {
    this.bytes.fill(0, position, position + length);
  }

  async flush(): Promise<void> {
    this.flushes += 1;
  }
}

let folder: TempDir;
let disk: MemoryDisk;
let server: NbdServer;
let uri: string;
async function serve(device: MemoryDisk): Promise<void> {
  disk = device;
  server = await NbdServer.listen(device, folder.join('sock'));
  uri = `nbd+unix:///?socket=${folder.join('sock')}`;
}
beforeEach(async () => {
  folder = await makeTempDir('nbd');
  await serve(new MemoryDisk());
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

// The tools of libnbd: another implementation of the protocol.
describe('a client', () => {
  it('learns size and abilities', async () => {
    const { stdout } = await runProcess('nbdinfo', ['--json', uri]);
    expect(JSON.parse(stdout)).toMatchObject({
      exports: [
        {
          'export-size': 8 * MIB,
          is_read_only: false,
          can_flush: true,
          can_fua: true,
          can_zero: true,
          can_multi_conn: true,
          block_size_minimum: 512,
        },
      ],
    });
  });

  it('writes, flushes and reads back, over several connections', async () => {
    const bytes = sampleBytes(8 * MIB, 3);
    bytes.fill(0, MIB, 3 * MIB);
    disk.bytes.fill(0xee);
    await writeFile(folder.join('in'), bytes);
    await runProcess('nbdcopy', ['--flush', folder.join('in'), uri]);
    expect(disk.bytes.equals(bytes)).toBe(true);
    expect(disk.flushes).toBeGreaterThan(0);
    await runProcess('nbdcopy', [uri, folder.join('out')]);
    expect((await readFile(folder.join('out'))).equals(bytes)).toBe(true);
  });

  it('is told of failures, and goes on', async () => {
    disk.failure = new HoldfastError('backend_unavailable', 'The disk is lost.');
    const failed = await runProcess('nbdcopy', [uri, folder.join('out')], { okCodes: [1] });
    expect(failed.stderr).toContain('Input/output error');
    disk.failure = undefined;
    await runProcess('nbdcopy', [uri, folder.join('out')]);
  });

  it('sees a read-only disk as such', async () => {
    await server[Symbol.asyncDispose]();
    await serve(new MemoryDisk(true));
    const { stdout } = await runProcess('nbdinfo', [uri]);
    expect(stdout).toContain('is_read_only: true');
  });
});

describe('what is no client', () => {
  it('is cut off, and harms nobody', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 4, maxLength: 200 }), async (bytes) => {
        const socket = connect(folder.join('sock'));
        const ended = once(socket, 'close');
        socket.resume();
        socket.on('error', () => {});
        socket.end(bytes);
        await ended;
      }),
      { numRuns: 50 },
    );
    expect((await runProcess('nbdinfo', [uri])).stdout).toContain('export-size');
  });

  it('asks for nothing that is too long, whatever its bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 28, maxLength: 28 }), fc.boolean(), (bytes, hasMagic) => {
        const request = Buffer.from(bytes);
        if (hasMagic) request.writeUInt32BE(0x2560_9513);
        const decoded = decodeRequest(request);
        if (decoded === undefined) return;
        expect(Number.isSafeInteger(decoded.position)).toBe(true);
        if (decoded.command !== nbd.command.writeZeroes) expect(decoded.length).toBeLessThanOrEqual(32 * MIB);
      }),
    );
  });
});
