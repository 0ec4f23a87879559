import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { startHub } from '@holdfast/test-support/hub';
import { startProcess } from '@holdfast/test-support/process';
import { makeTempDir } from '@holdfast/test-support/temp-dir';

const repository = join(import.meta.dirname, '../..');
const nodeBinary = join(repository, 'node_modules/node/bin/node');
const cliMain = join(repository, 'apps/cli/src/main.ts');
const FOLDERS = 100;
const FILES_OF_A_FOLDER = 500;
/** A hang is noticed; a busy machine is not one. */
const TIME_LIMIT_MS = 1_800_000;
const FILES = FOLDERS * FILES_OF_A_FOLDER;

const summary = z.looseObject({ transferred: z.number(), unchanged: z.number(), failed_count: z.number() });

const contentOf = (folder: number, file: number): string =>
  `file ${file} of folder ${folder}\n`.repeat(file % 40);

async function seed(root: string): Promise<void> {
  for (let folder = 0; folder < FOLDERS; folder += 1) {
    const path = join(root, `folder ${folder % 10}`, `${folder}`);
    await mkdir(path, { recursive: true });
    const files = Array.from({ length: FILES_OF_A_FOLDER }, (_, file) =>
      writeFile(join(path, `${file}.txt`), contentOf(folder, file)),
    );
    await Promise.all(files);
  }
}

async function requireEqual(root: string): Promise<void> {
  let count = 0;
  for (let folder = 0; folder < FOLDERS; folder += 1) {
    const path = join(root, `folder ${folder % 10}`, `${folder}`);
    const names = await readdir(path);
    count += names.length;
    await Promise.all(
      names.map(async (name) => {
        const text = await readFile(join(path, name), 'utf8');
        if (text !== contentOf(folder, Number.parseInt(name, 10)))
          throw new Error(`${join(path, name)} differs`);
      }),
    );
  }
  expect(count).toBe(FILES);
}

test(
  '50,000 small files go to the hub and come back as they were; again nothing is transferred',
  async () => {
    await using hub = await startHub();
    await using home = await makeTempDir('sync');
    const source = join(home.path, 'source');
    const back = join(home.path, 'back');
    await seed(source);
    const sync = async (from: string, to: string): Promise<z.output<typeof summary>> => {
      await using child = await startProcess(nodeBinary, [cliMain, 'sync', from, to, '--json'], {
        env: {
          HOME: home.path,
          HOLDFAST_STATE_DIR: join(home.path, 'state'),
          HOLDFAST_URL: hub.url,
          HOLDFAST_API_KEY: hub.adminKey,
        },
      });
      const { code } = await child.exited;
      if (code !== 0) throw new Error(`sync ended with ${code}: ${child.stderr()}`);
      return summary.parse(JSON.parse(child.stdout()));
    };
    const all = { transferred: FILES, unchanged: 0, failed_count: 0 };
    const none = { transferred: 0, unchanged: FILES, failed_count: 0 };
    expect(await sync(source, 'hub:/many')).toMatchObject(all);
    expect(await sync(source, 'hub:/many')).toMatchObject(none);
    expect(await sync('hub:/many', back)).toMatchObject(all);
    expect(await sync('hub:/many', back)).toMatchObject(none);
    await requireEqual(back);
  },
  TIME_LIMIT_MS,
);
