import { describe } from 'vitest';
import { describeContents } from './conformance/contents.ts';
import { describeListing } from './conformance/listing.ts';
import { describeNames } from './conformance/names.ts';
import { describeReading } from './conformance/reading.ts';
import { ConformanceBench } from './conformance/subject.ts';
import type { ConformanceOptions, ConformanceSubject } from './conformance/subject.ts';
import { describeSymlinks } from './conformance/symlinks.ts';
import { describeTree } from './conformance/tree.ts';
import { describeUpkeep } from './conformance/upkeep.ts';
import { describeWriting } from './conformance/writing.ts';

/**
 * The suite that every backend runs against its real storage. It uses the interface alone, asks capabilities, and goes
 * round the backend only by the hooks that the subject brings along.
 *
 * @param make a fresh, empty backend; made once for the suite, where every test has a folder of its own
 */
export function describeStorageConformance(
  name: string,
  make: () => Promise<ConformanceSubject>,
  options: ConformanceOptions = {},
): void {
  describe(`${name}: storage conformance`, () => {
    const bench = new ConformanceBench(make, options);
    describe('write', () => describeWriting(bench));
    describe('read', () => describeReading(bench));
    describe('list', () => describeListing(bench));
    describe('names', () => describeNames(bench));
    describe('tree', () => describeTree(bench));
    if (bench.options.contents) describe('contents', () => describeContents(bench));
    describe('upkeep', () => describeUpkeep(bench));
    if (bench.options.symlinks) describe('symlinks', () => describeSymlinks(bench));
  });
}
