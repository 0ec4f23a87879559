/** Something on a disk that says that the disk is in use. */
export interface Signature {
  /** What it is of: `ext4`, `gpt`, `LVM2`. */
  type: string;
  /** Where it was found: bytes from the start of the disk. */
  offset: number;
}

/** How much of the start and of the end of a disk `detectSignatures` wants to see. */
export const SIGNATURE_AREA_BYTES = 1024 * 1024;

const KIB = 1024;

interface Magic {
  type: string;
  /** Of the magic bytes; several where one kind of them can stand in several places. */
  offsets: readonly number[];
  bytes: Buffer;
}

function magic(type: string, bytes: string | readonly number[], ...offsets: number[]): Magic {
  return {
    type,
    offsets,
    bytes: typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes),
  };
}

/** Magic bytes at fixed places from the start, as libblkid and the formats' own documents have them. */
const magics: readonly Magic[] = [
  magic('mbr', [0x55, 0xaa], 510),
  magic('gpt', 'EFI PART', 512, 4 * KIB),
  magic('xfs', 'XFSB', 0),
  magic('btrfs', '_BHRfS_M', 64 * KIB + 64),
  magic('LVM2', 'LABELONE', 0, 512, 1024, 1536),
  magic('mdraid', [0xfc, 0x4e, 0x2b, 0xa9], 0, 4 * KIB),
  magic('mdraid', [0xa9, 0x2b, 0x4e, 0xfc], 0, 4 * KIB),
  magic('swap', 'SWAPSPACE2', 4 * KIB - 10, 8 * KIB - 10, 16 * KIB - 10, 64 * KIB - 10),
  magic('swap', 'SWAP-SPACE', 4 * KIB - 10, 8 * KIB - 10, 16 * KIB - 10, 64 * KIB - 10),
  magic('LUKS', [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe], 0),
  magic(
    'LUKS',
    [0x53, 0x4b, 0x55, 0x4c, 0xba, 0xbe],
    16 * KIB,
    32 * KIB,
    64 * KIB,
    128 * KIB,
    256 * KIB,
    512 * KIB,
  ),
  magic('ntfs', 'NTFS    ', 3),
  magic('exfat', 'EXFAT   ', 3),
  magic('bitlocker', '-FVE-FS-', 3),
  magic('vfat', 'FAT12   ', 54),
  magic('vfat', 'FAT16   ', 54),
  magic('vfat', 'FAT32   ', 82),
  magic('iso9660', 'CD001', 32 * KIB + 1),
  magic('udf', 'NSR0', 34 * KIB + 1, 36 * KIB + 1),
  magic('f2fs', [0x10, 0x20, 0xf5, 0xf2], KIB),
  magic('squashfs', 'hsqs', 0),
  magic('hfs+', 'H+\0', KIB),
  magic('apfs', 'NXSB', 32),
  magic(
    'bcache',
    [0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81],
    4 * KIB + 24,
  ),
  magic('bluestore', 'bluestore block device', 0),
  magic('oracleasm', 'ORCLDISK', 32),
];

const extMagic = [0x53, 0xef];
const extMagicOffset = KIB + 0x38;
const zfsLabelBytes = 256 * KIB;
const zfsUberblocks = { from: 128 * KIB, step: KIB };
const zfsMagic = 0x00bab10c;

/** The kind of an ext superblock by its features: extents make it 4, a journal 3. */
function extType(first: Buffer): string {
  const compatible = first.readUInt32LE(KIB + 0x5c);
  const incompatible = first.readUInt32LE(KIB + 0x60);
  if ((incompatible & 0x02c0) !== 0) return 'ext4';
  return (compatible & 0x4) === 0 ? 'ext2' : 'ext3';
}

function matches(area: Buffer, at: number, bytes: Buffer): boolean {
  return (
    at >= 0 &&
    at + bytes.byteLength <= area.byteLength &&
    area.compare(bytes, 0, bytes.byteLength, at, at + bytes.byteLength) === 0
  );
}

/**
 * What a disk is in use for, by its first and last bytes. Empty for a blank disk. A disk without any of the known
 * signatures can still have bytes that somebody wants.
 *
 * @param first the first MiB, or the whole of a smaller disk
 * @param last the last MiB, or the whole of a smaller disk
 * @param sizeBytes of the disk
 */
export function detectSignatures(first: Buffer, last: Buffer, sizeBytes: number): Signature[] {
  const found: Signature[] = [];
  for (const { type, offsets, bytes } of magics) {
    for (const offset of offsets) if (matches(first, offset, bytes)) found.push({ type, offset });
  }
  if (matches(first, extMagicOffset, Buffer.from(extMagic)) && first.byteLength >= 2 * KIB) {
    found.push({ type: extType(first), offset: extMagicOffset });
  }
  found.push(...zfsLabels(first, 0, [0, 1]));
  const lastAt = sizeBytes - last.byteLength;
  found.push(...atTheEnd(last, lastAt, sizeBytes));
  return found.filter(({ type, offset }, index) => {
    return found.findIndex((other) => other.type === type && other.offset === offset) === index;
  });
}

function atTheEnd(last: Buffer, lastAt: number, sizeBytes: number): Signature[] {
  const found: Signature[] = [];
  const gpt = Buffer.from('EFI PART');
  for (const blockBytes of [512, 4 * KIB]) {
    if (matches(last, sizeBytes - blockBytes - lastAt, gpt))
      found.push({ type: 'gpt', offset: sizeBytes - blockBytes });
  }
  // md 0.90: the last 64 KiB that are aligned to as much; md 1.0: 8 KiB before the end, aligned to 4 KiB.
  const sectors = Math.floor(sizeBytes / 512);
  const raid090 = sizeBytes - (sizeBytes % (64 * KIB)) - 64 * KIB;
  const raid10 = (sectors - 16 - ((sectors - 16) % 8)) * 512;
  for (const bytes of [Buffer.from([0xfc, 0x4e, 0x2b, 0xa9]), Buffer.from([0xa9, 0x2b, 0x4e, 0xfc])]) {
    for (const offset of [raid090, raid10]) {
      if (matches(last, offset - lastAt, bytes)) found.push({ type: 'mdraid', offset });
    }
  }
  const labelsEnd = sizeBytes - (sizeBytes % zfsLabelBytes);
  const firstLabel = (labelsEnd - 2 * zfsLabelBytes - lastAt) / zfsLabelBytes;
  return [...found, ...zfsLabels(last, lastAt, [firstLabel, firstLabel + 1])];
}

/** ZFS keeps two labels of 256 KiB at either end; the second half of each is a ring of uberblocks. */
function zfsLabels(area: Buffer, areaAt: number, labels: readonly number[]): Signature[] {
  for (const label of labels) {
    const start = label * zfsLabelBytes;
    for (let at = start + zfsUberblocks.from; at < start + zfsLabelBytes; at += zfsUberblocks.step) {
      if (at < 0 || at + 8 > area.byteLength) continue;
      const isLittle = area.readUInt32LE(at) === zfsMagic && area.readUInt32LE(at + 4) === 0;
      const isBig = area.readUInt32BE(at) === 0 && area.readUInt32BE(at + 4) === zfsMagic;
      if (isLittle || isBig) return [{ type: 'zfs', offset: areaAt + at }];
    }
  }
  return [];
}

/** The signatures as a person reads them: `ext4, gpt`. */
export function signatureNames(signatures: readonly Signature[]): string {
  return [...new Set(signatures.map(({ type }) => type))].join(', ');
}
