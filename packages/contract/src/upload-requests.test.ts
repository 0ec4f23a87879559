import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { deletionNotice, hostFileQuery } from './host-files.ts';
import { fileMode, filepath, hostname } from './host-names.ts';
import { fieldProblems } from './problem.ts';
import {
  MAX_BATCH_FILE_BYTES,
  MAX_CHUNKS,
  MAX_FILE_BYTES,
  batchFileHeader,
  uploadComplete,
  uploadInitiate,
} from './uploads.ts';

const digest = 'a'.repeat(64);
const announced = {
  filepath: '/home/ada/plan.txt',
  hostname: 'build-7.lab.example',
  sha256: digest,
  file_size: 10,
  chunk_size: 4,
  total_chunks: 3,
};

function problemsOf(schema: z.ZodType, value: unknown): string[] {
  const { error } = schema.safeParse(value);
  return error === undefined ? [] : fieldProblems(error).map(({ field }) => field);
}

describe('an upload that begins', () => {
  it('may leave out what is not known of the file', () => {
    expect(uploadInitiate.parse(announced)).toEqual(announced);
    const { sha256: _unknown, ...anonymous } = announced;
    expect(uploadInitiate.parse(anonymous)).toEqual(anonymous);
    const empty = { ...announced, sha256: null, mtime: null, mode: null };
    expect(uploadInitiate.parse(empty)).toEqual(empty);
  });

  it('ends as a host file or at a path of a backend, and says which fields do not agree with that', () => {
    const { filepath: _path, hostname: _machine, ...bytes } = announced;
    const placed = { ...bytes, backend_id: 'b', destination_path: '/images/disk.img', overwrite: true };
    expect(uploadInitiate.parse(placed)).toEqual(placed);
    expect(problemsOf(uploadInitiate, bytes)).toEqual(['filepath', 'hostname']);
    expect(problemsOf(uploadInitiate, { ...announced, overwrite: true })).toEqual(['overwrite']);
    expect(problemsOf(uploadInitiate, { ...announced, destination_path: '/images/disk.img' })).toEqual([
      'filepath',
      'hostname',
      'backend_id',
    ]);
  });

  it('tells times in UTC and permissions as a number', () => {
    expect(
      uploadInitiate.parse({ ...announced, mtime: '2026-01-01T02:00:00+02:00', mode: 0o4755 }),
    ).toMatchObject({ mtime: '2026-01-01T00:00:00.000Z', mode: 2541 });
  });

  it('has as many chunks as its bytes fill', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1_000_000 }),
        fc.integer({ min: 11, max: 5_000 }),
        fc.integer({ min: -3, max: 3 }),
        (file_size, chunk_size, error) => {
          const chunks = Math.ceil(file_size / chunk_size);
          const total_chunks = Math.max(0, chunks + error);
          const numbers = { ...announced, file_size, chunk_size, total_chunks };
          expect(problemsOf(uploadInitiate, numbers)).toEqual(
            total_chunks === chunks ? [] : ['total_chunks'],
          );
        },
      ),
    );
  });

  it('of no bytes has no chunks', () => {
    expect(problemsOf(uploadInitiate, { ...announced, file_size: 0, total_chunks: 0 })).toEqual([]);
    expect(problemsOf(uploadInitiate, { ...announced, file_size: 0, total_chunks: 1 })).toEqual([
      'total_chunks',
    ]);
  });

  it('says how many chunks there should be', () => {
    const { error } = uploadInitiate.safeParse({ ...announced, total_chunks: 2 });
    expect(error && fieldProblems(error)).toEqual([
      { field: 'total_chunks', message: 'must be 3 for 10 bytes in chunks of 4' },
    ]);
  });

  it.each([
    ['sha256', digest.toUpperCase()],
    ['sha256', digest.slice(1)],
    ['file_size', -1],
    ['file_size', MAX_FILE_BYTES + 1],
    ['file_size', 0.5],
    ['chunk_size', 0],
    ['total_chunks', MAX_CHUNKS + 1],
    ['mtime', 'yesterday'],
    ['mode', 0o10000],
    ['mode', '0644'],
    ['filepath', ''],
    ['hostname', 'a b'],
    ['backend_id', ''],
  ])('is refused with the %s %j, which is named', (field, value) => {
    expect(problemsOf(uploadInitiate, { ...announced, [field]: value })).toContain(field);
  });

  it('is refused with a field that does not exist', () => {
    expect(uploadInitiate.safeParse({ ...announced, name: 'plan.txt' }).success).toBe(false);
  });

  it('takes the largest file in the most chunks', () => {
    const chunk_size = Math.ceil(MAX_FILE_BYTES / MAX_CHUNKS);
    const total_chunks = Math.ceil(MAX_FILE_BYTES / chunk_size);
    expect(
      problemsOf(uploadInitiate, { ...announced, file_size: MAX_FILE_BYTES, chunk_size, total_chunks }),
    ).toEqual([]);
  });
});

describe('an upload that ends', () => {
  it('need not list its parts', () => {
    expect(uploadComplete.parse({})).toEqual({});
    const parts = [{ chunk_num: 0, etag: digest }];
    expect(uploadComplete.parse({ parts, sha256: digest })).toEqual({ parts, sha256: digest });
    expect(uploadComplete.safeParse({ parts: [{ chunk_num: -1, etag: digest }] }).success).toBe(false);
  });
});

describe('the header of a file in a batch', () => {
  const header = { filepath: '/etc/hosts', hostname: 'a', sha256: digest, size: 5 };

  it('names file, digest and size', () => {
    expect(batchFileHeader.parse(header)).toEqual(header);
    for (const field of Object.keys(header)) {
      expect(problemsOf(batchFileHeader, { ...header, [field]: undefined })).toEqual([field]);
    }
  });

  it('is for small files', () => {
    expect(problemsOf(batchFileHeader, { ...header, size: MAX_BATCH_FILE_BYTES })).toEqual([]);
    expect(problemsOf(batchFileHeader, { ...header, size: MAX_BATCH_FILE_BYTES + 1 })).toEqual(['size']);
    expect(batchFileHeader.safeParse({ ...header, sha256: null }).success).toBe(false);
    expect(batchFileHeader.safeParse({ ...header, chunk_size: 1 }).success).toBe(false);
  });
});

describe('the names of machines and of their files', () => {
  it.each(['a', 'build-7.lab.example', 'LAPTOP_5', 'größe', '10.0.0.7', 'fe80::1', 'x'.repeat(253)])(
    'take the machine %j',
    (name) => {
      expect(hostname.parse(name)).toBe(name);
    },
  );

  it.each([
    '',
    ' ',
    'a b',
    'a\n',
    'a\u00a0b',
    '../a',
    'a/b',
    'a\\b',
    'a\0',
    '\u007f',
    '\ud800',
    'x'.repeat(254),
  ])('refuse the machine %j', (name) => {
    expect(hostname.safeParse(name).success).toBe(false);
  });

  it.each([
    '/',
    'C:\\Users\\ada\\plan.txt',
    '../../etc/passwd',
    ' /x ',
    '/new\nline',
    '/\u{10ffff}',
    'x'.repeat(4096),
  ])('keep the path %j as it is', (path) => {
    expect(filepath.parse(path)).toBe(path);
  });

  it.each(['', '/a\0b', '/\udc00', 'x'.repeat(4097)])('refuse the path %j', (path) => {
    expect(filepath.safeParse(path).success).toBe(false);
  });

  it('know permission bits only', () => {
    for (const mode of [0, 0o644, 0o7777]) expect(fileMode.parse(mode)).toBe(mode);
    for (const mode of [-1, 0o10000, 0.5]) expect(fileMode.safeParse(mode).success).toBe(false);
  });
});

describe('host files', () => {
  it('are listed as they are now when nothing else is said', () => {
    expect(hostFileQuery.parse({})).toEqual({ limit: 100, status: 'active', versions: 'current' });
    expect(hostFileQuery.safeParse({ status: 'gone' }).success).toBe(false);
    expect(hostFileQuery.safeParse({ versions: '2' }).success).toBe(false);
  });

  it('are deleted by digest, path and machine', () => {
    const notice = { sha256: digest, filepath: '/a', hostname: 'h' };
    expect(deletionNotice.parse(notice)).toEqual(notice);
    for (const field of Object.keys(notice)) {
      expect(deletionNotice.safeParse({ ...notice, [field]: undefined }).success).toBe(false);
    }
  });
});
