import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { startTgt } from '@holdfast/test-support/tgt';
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { createIscsiBackend, discoverIscsiTargets, prepareIscsi } from '../iscsi.ts';
import { ScratchLun, stackProcesses } from './testing/scratch-lun.ts';

const MIB = 1024 * 1024;
const p = parseBackendPath;
const bytes = sampleBytes(10_000);

describe('a new configuration', () => {
  it('is refused for a blank LUN; by request the LUN is formatted, once', async () => {
    await using lun = await ScratchLun.blank();
    const refused = await refusal(prepareIscsi(lun.config, lun.surroundings), 'validation_failed');
    expect(refused.message).toContain('blank');
    const { volumeId } = await prepareIscsi(lun.config, { ...lun.surroundings, format: true });
    expect(await prepareIscsi(lun.config, lun.surroundings)).toEqual({ volumeId });
    const again = await refusal(
      prepareIscsi(lun.config, { ...lun.surroundings, format: true }),
      'validation_failed',
    );
    expect(again.message).toContain('ext4');
    const xfs = await refusal(
      prepareIscsi({ ...lun.config, filesystem: 'xfs' }, lun.surroundings),
      'validation_failed',
    );
    expect(xfs.errors?.[0]?.field).toBe('config.filesystem');
    expect(await stackProcesses(lun.stateDir)).toEqual([]);
  });

  it.each([
    [{ chap_password: 'wrong-secret-5678' }, 'config.chap_password'],
    [{ target: 'iqn.2026-01.test:none' }, 'config.target'],
    [{ lun: 9 }, 'config.lun'],
    [{ portal: 'no-such-host.invalid' }, 'config.portal'],
    [{ target: 'no name' }, 'config.target'],
  ])('with %j is refused by the field %s', async (changes, field) => {
    await using lun = await ScratchLun.blank();
    const error = await refusal(
      prepareIscsi({ ...lun.config, ...changes }, lun.surroundings),
      'validation_failed',
    );
    expect(error.errors?.[0]?.field).toBe(field);
  });

  it('finds its targets by the server alone', async () => {
    await using lun = await ScratchLun.blank();
    const { portal, port } = lun.config;
    const targets = await discoverIscsiTargets({ portal, port }, { ownerId: 'hub-1' });
    expect(targets.map(({ name }) => name)).toEqual([lun.config.target]);
  });

  it('is checked beside the backend that has the LUN mounted, and leaves that alone', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    expect(await prepareIscsi(lun.config, lun.surroundings)).toEqual({ volumeId: lun.volumeId });
    const wrong = { ...lun.config, chap_password: 'wrong-secret-5678' };
    await refusal(prepareIscsi(wrong, lun.surroundings), 'validation_failed');
    await using next = lun.backendFor(lun.volumeId);
    await next.write(p('/next'), chunksOf(bytes));
    await lun.backend[Symbol.asyncDispose]();
    expect((await bytesAt(next, p('/file'))).equals(bytes)).toBe(true);
  });
});

describe('a backend', () => {
  it('on XFS works as on ext4', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 320, filesystem: 'xfs' });
    await lun.backend.write(p('/folder/file'), chunksOf(bytes));
    await lun.backend[Symbol.asyncDispose]();
    await using again = lun.backendFor(lun.volumeId);
    expect((await bytesAt(again, p('/folder/file'))).equals(bytes)).toBe(true);
    expect((await again.probe()).ok).toBe(true);
  });

  it('refuses another volume, by its marker', async () => {
    await using lun = await ScratchLun.formatted();
    await using stranger = lun.backendFor('another');
    await refusal(stranger.write(p('/file'), chunksOf(bytes)), 'wrong_volume');
    expect((await lun.backend.list(ROOT)).entries).toEqual([]);
  });

  it('that is full says so, publishes nothing, and works again when there is room', async () => {
    await using lun = await ScratchLun.formatted({ sizeMiB: 48 });
    async function* tooMuch(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 64; count += 1) yield sampleBytes(MIB, count + 1);
    }
    await refusal(lun.backend.write(p('/large'), tooMuch()), 'storage_full');
    expect((await lun.backend.list(ROOT)).entries).toEqual([]);
    await lun.backend.write(p('/small'), chunksOf(bytes));
  });

  it('on a write-protected LUN is read and not written', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    await lun.backend[Symbol.asyncDispose]();
    await using locked = await startTgt({ sizeBytes: 128 * MIB, readonly: true });
    // tgt reads the file as it is: the locked LUN has the bytes of the other one.
    await writeFile(locked.image, await readFile(lun.server.image));
    const { volumeId, surroundings } = lun;
    await using backend = createIscsiBackend({
      target: locked.target,
      portal: '127.0.0.1',
      port: locked.port,
      lun: locked.lun,
      mode: 'direct',
      ...surroundings,
      volumeId,
    });
    expect((await bytesAt(backend, p('/file'))).equals(bytes)).toBe(true);
    await refusal(backend.write(p('/new'), chunksOf(bytes)), 'read_only');
  });
});
