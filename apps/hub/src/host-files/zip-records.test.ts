import { open, writeFile } from 'node:fs/promises';
import { constants, crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { runProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { centralHeader, dataDescriptor, endOfDirectory, localHeader, type ZipMember } from './zip-records.ts';

const MIB = 1024 ** 2;

function memberOf(name: string, offset: number, bytes: Buffer, compressed: Buffer): ZipMember {
  const modifiedAt = new Date('2024-02-29T12:00:01Z');
  const sizes = { size: bytes.byteLength, compressedSize: compressed.byteLength, crc32: crc32(bytes) };
  return { name, mode: 0o640, modifiedAt, offset, ...sizes };
}

describe('the records of a ZIP', () => {
  it('hold more files than 16 bits count', async () => {
    await using folder = await makeTempDir('zip');
    const empty = deflateRawSync(Buffer.alloc(0));
    const parts: Buffer[] = [];
    const directory: Buffer[] = [];
    let offset = 0;
    for (let file = 0; file < 70_000; file++) {
      const member = memberOf(`folder/${file}`, offset, Buffer.alloc(0), empty);
      const header = localHeader(member, 'before');
      parts.push(header, empty);
      offset += header.byteLength + empty.byteLength;
      directory.push(centralHeader(member, 'before'));
    }
    const records = Buffer.concat(directory);
    const end = endOfDirectory({ files: 70_000, bytes: records.byteLength, offset });
    await writeFile(folder.join('many.zip'), Buffer.concat([...parts, records, end]));
    const tested = await runProcess('unzip', ['-tq', folder.join('many.zip')]);
    expect(tested.stdout).toContain('No errors detected');
    const counted = await runProcess('zipinfo', ['-h', folder.join('many.zip')]);
    expect(counted.stdout).toContain('number of entries: 70000');
  });

  it('hold files that begin beyond 4 GiB', async () => {
    await using folder = await makeTempDir('zip');
    const bytes = Buffer.from('far away');
    const compressed = deflateRawSync(bytes);
    const offset = 5 * 1024 * MIB; // of a sparse file
    const member = memberOf('far', offset, bytes, compressed);
    const local = Buffer.concat([localHeader(member, 'after'), compressed, dataDescriptor(member)]);
    const record = centralHeader(member, 'after');
    const end = endOfDirectory({ files: 1, bytes: record.byteLength, offset: offset + local.byteLength });
    const file = await open(folder.join('far.zip'), 'w');
    await file.write(Buffer.concat([local, record, end]), 0, null, offset);
    await file.close();
    const read = await runProcess('unzip', ['-p', folder.join('far.zip'), 'far']);
    expect(read.stdout).toBe('far away');
  });

  it('hold a file that is larger than 4 GiB', { timeout: 300_000 }, async () => {
    await using folder = await makeTempDir('zip');
    const zeros = Buffer.alloc(64 * MIB);
    // Ends on a byte's boundary and refers to nothing before: such blocks can follow each other.
    const block = deflateRawSync(zeros, { level: 1, finishFlush: constants.Z_FULL_FLUSH });
    const last = deflateRawSync(Buffer.alloc(0));
    const blocks = 65;
    let sum = 0;
    for (let number = 0; number < blocks; number++) sum = crc32(zeros, sum);
    const compressed = Buffer.concat([...Array.from({ length: blocks }, () => block), last]);
    const member: ZipMember = {
      ...memberOf('large', 0, Buffer.alloc(0), compressed),
      size: blocks * zeros.byteLength,
      crc32: sum,
    };
    const local = Buffer.concat([localHeader(member, 'after'), compressed, dataDescriptor(member)]);
    const record = centralHeader(member, 'after');
    const end = endOfDirectory({ files: 1, bytes: record.byteLength, offset: local.byteLength });
    const path = folder.join('large.zip');
    await writeFile(path, Buffer.concat([local, record, end]));
    const tested = await runProcess('unzip', ['-t', path]);
    expect(tested.stdout).toContain('No errors detected');
    const counted = await runProcess('sh', ['-c', 'bsdtar -xOf - large < "$0" | wc -c', path]);
    expect(counted.stdout.trim()).toBe(String(member.size));
  });

  it('tell times before 1980 and after 2107 as far as the fields go', () => {
    const at = (time: string): Buffer => {
      const member = { ...memberOf('f', 0, Buffer.alloc(0), Buffer.alloc(0)), modifiedAt: new Date(time) };
      return localHeader(member, 'before');
    };
    const dosOf = (header: Buffer): [number, number] => [header.readUInt16LE(10), header.readUInt16LE(12)];
    const secondsOf = (header: Buffer): number => header.readInt32LE(30 + 1 + 5);
    expect(dosOf(at('1969-12-31T23:59:59Z'))).toEqual([0, 0x21]);
    expect(secondsOf(at('1969-12-31T23:59:59Z'))).toBe(-1);
    expect(dosOf(at('2150-01-01T00:00:00Z'))).toEqual([0xbf7d, 0xff9f]);
    expect(secondsOf(at('2150-01-01T00:00:00Z'))).toBe(0x7fffffff);
    expect(dosOf(at('2024-02-29T12:30:59Z'))).toEqual([
      (12 << 11) | (30 << 5) | 29,
      (44 << 9) | (2 << 5) | 29,
    ]);
  });
});
