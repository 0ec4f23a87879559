import { makeTempDir } from '@holdfast/test-support/temp-dir';
import type { TempDir } from '@holdfast/test-support/temp-dir';
import fc from 'fast-check';
import { open, truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { detectSignatures, SIGNATURE_AREA_BYTES, signatureNames } from './signature.ts';
import type { Signature } from './signature.ts';
import { runTool } from './stack/tool.ts';

const MIB = 1024 * 1024;
const KIB = 1024;

let folder: TempDir;
beforeAll(async () => {
  folder = await makeTempDir('signature');
});
afterAll(() => folder[Symbol.asyncDispose]());

/** The signatures of an image file. */
async function signaturesOf(path: string): Promise<Signature[]> {
  await using handle = await open(path, 'r');
  const { size } = await handle.stat();
  const length = Math.min(SIGNATURE_AREA_BYTES, size);
  const [first, last] = [Buffer.alloc(length), Buffer.alloc(length)];
  await handle.read(first, 0, length, 0);
  await handle.read(last, 0, length, size - length);
  return detectSignatures(first, last, size);
}

async function blankImage(name: string, sizeMiB: number): Promise<string> {
  const path = folder.join(name);
  await writeFile(path, '');
  await truncate(path, sizeMiB * MIB);
  return path;
}

/** A disk of some MiB with these bytes at an offset from its start, or from its end when that is negative. */
function diskWith(bytes: Uint8Array | string, offset: number, sizeBytes = 64 * MIB): Signature[] {
  const [first, last] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
  const at = offset >= 0 ? offset : sizeBytes + offset;
  const data = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes);
  if (at + data.byteLength <= MIB) first.set(data, at);
  if (at >= sizeBytes - MIB) last.set(data, at - (sizeBytes - MIB));
  return detectSignatures(first, last, sizeBytes);
}

describe('a file system that its own program has made', () => {
  it.each([
    ['ext4', 'mkfs.ext4', ['-q'], 16],
    ['ext3', 'mkfs.ext4', ['-q', '-O', 'none,has_journal,filetype'], 16],
    ['ext2', 'mkfs.ext4', ['-q', '-O', 'none,filetype'], 16],
    ['xfs', 'mkfs.xfs', ['-q'], 320],
  ] as const)('is known as %s', async (type, tool, args, sizeMiB) => {
    const image = await blankImage(`${type}.img`, sizeMiB);
    await runTool(tool, [...args, image]);
    expect(signatureNames(await signaturesOf(image))).toBe(type);
  });
});

describe('every other use of a disk', () => {
  const superblock090 = -(64 * KIB);
  it.each([
    ['mbr', Buffer.from([0x55, 0xaa]), 510],
    ['gpt', 'EFI PART', 512],
    ['gpt', 'EFI PART', 4096],
    ['gpt', 'EFI PART', -512],
    ['gpt', 'EFI PART', -4096],
    ['btrfs', '_BHRfS_M', 0x1_0040],
    ['LVM2', 'LABELONE', 512],
    ['mdraid', Buffer.from('fc4e2ba9', 'hex'), 4096],
    ['mdraid', Buffer.from('fc4e2ba9', 'hex'), 0],
    ['mdraid', Buffer.from('fc4e2ba9', 'hex'), -8192],
    ['mdraid', Buffer.from('fc4e2ba9', 'hex'), superblock090],
    ['swap', 'SWAPSPACE2', 4086],
    ['LUKS', Buffer.from('4c554b53babe', 'hex'), 0],
    ['LUKS', Buffer.from('534b554cbabe', 'hex'), 0x4000],
    ['ntfs', 'NTFS    ', 3],
    ['exfat', 'EXFAT   ', 3],
    ['vfat', 'FAT32   ', 82],
    ['vfat', 'FAT16   ', 54],
    ['zfs', Buffer.from('0cb1ba0000000000', 'hex'), 128 * KIB],
    ['zfs', Buffer.from('0000000000bab10c', 'hex'), 256 * KIB + 200 * KIB],
    ['zfs', Buffer.from('0cb1ba0000000000', 'hex'), -(128 * KIB)],
    ['iso9660', 'CD001', 32_769],
    ['udf', 'NSR02', 36_865],
  ] as const)('is known as %s', (type, bytes, offset) => {
    expect(diskWith(bytes, offset).map((found) => found.type)).toContain(type);
  });

  it('is told with its place', () => {
    expect(diskWith('EFI PART', -512)).toEqual([{ type: 'gpt', offset: 64 * MIB - 512 }]);
    // md 1.0 on a disk of an odd number of sectors: aligned downwards to 4 KiB (md(4)).
    expect(diskWith(Buffer.from('fc4e2ba9', 'hex'), 130_000 * 512, 130_017 * 512)).toEqual([
      { type: 'mdraid', offset: 130_000 * 512 },
    ]);
  });
});

describe('a blank disk', () => {
  it.each([4096, 100_000, MIB, MIB + 512, 64 * MIB])('of %i bytes has none', (sizeBytes) => {
    const area = Buffer.alloc(Math.min(MIB, sizeBytes));
    expect(detectSignatures(area, area, sizeBytes)).toEqual([]);
  });

  it('of any size and content is judged without failing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 6000 }), fc.nat(200_000), (bytes, more) => {
        const sizeBytes = bytes.length + more;
        const area = Buffer.alloc(Math.min(sizeBytes, MIB));
        area.set(bytes);
        for (const { offset } of detectSignatures(area, area, sizeBytes))
          expect(offset).toBeLessThan(sizeBytes);
      }),
    );
  });
});
