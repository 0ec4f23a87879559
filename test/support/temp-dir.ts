import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder of one test; disposing removes it with all that is in it. */
export interface TempDir extends AsyncDisposable {
  /** Absolute, without symlinks. */
  readonly path: string;
  /** The absolute path of a name inside. */
  join(...parts: string[]): string;
}

/** Makes an empty folder under the system's temporary folder. */
export async function makeTempDir(label = 'test'): Promise<TempDir> {
  const root = await realpath(await mkdtemp(path.join(tmpdir(), `holdfast-${label}-`)));
  return {
    path: root,
    join: (...parts) => path.join(root, ...parts),
    async [Symbol.asyncDispose]() {
      // A process killed a moment ago may still be adding a file.
      await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    },
  };
}
