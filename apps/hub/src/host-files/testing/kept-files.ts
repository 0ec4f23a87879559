import { sha256Hex } from '@holdfast/bytes/sha256';
import type { HostFile } from '@holdfast/catalog/host-files';
import type { Principal } from '../../access/access.ts';
import { ADMIN_KEY, type TestHub } from '../../testing/test-hub.ts';

/** A file of a machine for tests. */
export interface SampleFile {
  hostname?: string;
  filepath: string;
  bytes: string | Uint8Array;
  mtime?: Date | null;
  mode?: number | null;
}

/** The caller that an API key is. */
export function principalOf(hub: TestHub, key: string = ADMIN_KEY): Promise<Principal> {
  return hub.context.access.authenticate(`Bearer ${key}`);
}

/** Stores files of machines (`box` when none is named) and records them in one transaction, as a batch does. */
export async function keepFiles(
  hub: TestHub,
  files: readonly SampleFile[],
  { key = ADMIN_KEY, backendId }: { key?: string; backendId?: string } = {},
): Promise<HostFile[]> {
  const { vault, hostFiles } = hub.context;
  const principal = await principalOf(hub, key);
  const contents = files.map(({ bytes }) => {
    const raw = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    return { sha256: sha256Hex(raw), bytes: raw };
  });
  await using _held = await vault.lockMany(contents.map(({ sha256 }) => sha256));
  const outcomes = await vault.storeMany(vault.backendFor(backendId), contents);
  const answers = await hostFiles.recordMany(
    principal,
    files.map((file, index) => {
      const outcome = outcomes[index];
      const content = contents[index];
      if (content === undefined || outcome === undefined) throw new RangeError('an outcome is missing');
      if (outcome.kind === 'failed') throw outcome.error;
      return {
        hostname: file.hostname ?? 'box',
        filepath: file.filepath,
        sha256: content.sha256,
        size: content.bytes.byteLength,
        mtime: file.mtime ?? null,
        mode: file.mode ?? null,
        content: { backendId: outcome.backendId, published: outcome.kind === 'stored' },
      };
    }),
  );
  return answers.map((answer) => {
    if (answer.kind !== 'recorded') throw new Error(`The catalog answered ${answer.kind}.`);
    return answer.file;
  });
}

/** Stores and records one file. */
export async function keepFile(
  hub: TestHub,
  file: SampleFile,
  options: { key?: string; backendId?: string } = {},
): Promise<HostFile> {
  const [kept] = await keepFiles(hub, [file], options);
  if (kept === undefined) throw new RangeError('nothing was recorded');
  return kept;
}
