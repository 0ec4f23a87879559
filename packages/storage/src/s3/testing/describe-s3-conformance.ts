import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { describeStorageConformance } from '../../conformance.ts';
import type { ConformanceSubject } from '../../conformance/subject.ts';
import type { S3Bench } from './s3-bench.ts';

/** The suite that every backend runs, below a prefix of a bucket. */
export function describeS3Conformance(name: string, bench: () => S3Bench): void {
  const make = async (): Promise<ConformanceSubject> => {
    const spool = await makeTempDir('spool');
    const bucket = await bench().bucket({ prefix: 'below/a prefix', spoolDir: spool.join('s3') });
    const keyOf = (path: string): string => `below/a prefix${path}`;
    return {
      backend: bucket.backend,
      seed: (folder, names) =>
        bench().seed(
          bucket,
          names.map((file) => keyOf(`${folder}/${file}`)),
        ),
      hooks: { tamper: (path, bytes) => bucket.put(keyOf(path), bytes) },
      dispose: async () => spool[Symbol.asyncDispose](),
    };
  };
  describeStorageConformance(name, make, { tampering: true, contents: true });
}
