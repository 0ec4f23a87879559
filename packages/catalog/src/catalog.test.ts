import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { startPostgres } from '@holdfast/test-support/postgres';
import { makeTempDir } from '@holdfast/test-support/temp-dir';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { openCatalog } from './catalog.ts';
import { describeDialects } from './dialect-fixture.ts';

const catalogModule = JSON.stringify(new URL('./catalog.ts', import.meta.url).href);

describeDialects(({ dialect, open, freshUrl }) => {
  test('a fresh database gets the newest schema and answers', async () => {
    const catalog = await open();
    expect(catalog.dialect).toBe(dialect);
    expect(catalog.schemaVersion).toBe(3);
    await catalog.ping();
    expect(await catalog.backends.list()).toEqual([]);
  });

  test('opening again finds what was written', async () => {
    const url = await freshUrl();
    {
      await using first = await openCatalog({ url });
      await first.meta.set('hub_id', 'one');
    }
    const second = await open(url);
    expect(await second.meta.get('hub_id')).toBe('one');
  });

  test('of ten openers of an empty database one migrates it', async () => {
    const url = await freshUrl();
    const messages: string[] = [];
    const logger = { info: (message: string) => void messages.push(message), warn: () => undefined };
    const catalogs = await Promise.all(Array.from({ length: 10 }, () => openCatalog({ url, logger })));
    await Promise.all(catalogs.map((catalog, index) => catalog.meta.set(`opener-${index}`, String(index))));
    for (let index = 0; index < catalogs.length; index += 1) {
      expect(await catalogs[0]?.meta.get(`opener-${index}`)).toBe(String(index));
    }
    await Promise.all(catalogs.map((catalog) => catalog[Symbol.asyncDispose]()));
    expect(messages).toEqual([
      'Migrating the catalog to schema version 1 (spine)',
      'Migrating the catalog to schema version 2 (uploads)',
      'Migrating the catalog to schema version 3 (destinations)',
    ]);
  });

  test('of four processes that open an empty database at once all succeed', async () => {
    const url = await freshUrl();
    const script = `
      const { openCatalog } = await import(${catalogModule});
      await using catalog = await openCatalog({ url: process.argv[1] });
      await catalog.nodes.seen({ mac: '52:54:00:00:00:01', at: new Date() });
    `;
    const exits = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', url], {
          stdio: ['ignore', 'ignore', 'inherit'],
        });
        const exit: unknown[] = await once(child, 'exit');
        return exit[0];
      }),
    );
    expect(exits).toEqual([0, 0, 0, 0]);
    const catalog = await open(url);
    expect((await catalog.nodes.list({ limit: 10 })).total).toBe(1);
  });

  test('what was acknowledged survives kill -9 of the process', async () => {
    const url = await freshUrl();
    const script = `
      const { openCatalog } = await import(${catalogModule});
      const catalog = await openCatalog({ url: process.argv[1] });
      for (let row = 0; ; row += 1) {
        await catalog.operations.insertMany([
          { id: 'a' + row, operation: 'upload' },
          { id: 'b' + row, operation: 'upload' },
        ]);
        process.stdout.write(row + '\\n');
      }
    `;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, '--', url], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    let acknowledged = -1;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged === 50) child.kill('SIGKILL');
    }
    await exited;
    expect(acknowledged).toBeGreaterThanOrEqual(50);

    const catalog = await open(url);
    for (let row = 0; row <= acknowledged; row += 1) {
      expect(await catalog.operations.get(`a${row}`)).not.toBeNull();
    }
    const { rows, total } = await catalog.operations.list({ limit: 100_000 });
    // Each pair was one transaction: none is torn.
    expect(total % 2).toBe(0);
    expect(new Set(rows.map(({ id }) => id.slice(1))).size).toBe(total / 2);
  });

  test('a closed catalog refuses to work', async () => {
    const catalog = await openCatalog({ url: await freshUrl() });
    await catalog[Symbol.asyncDispose]();
    await expect(catalog.ping()).rejects.toThrow();
    await expect(catalog.checksums.get('backend', '/file')).rejects.toThrow();
  });
});

test('a SQLite file is kept in WAL mode', async () => {
  await using folder = await makeTempDir('catalog');
  const file = folder.join('catalog.db');
  await using catalog = await openCatalog({ url: `sqlite:${file}` });
  await catalog.ping();
  const other = new Database(file, { readonly: true });
  expect(other.pragma('journal_mode', { simple: true })).toBe('wal');
  other.close();
});

test('a catalog in memory works', async () => {
  await using catalog = await openCatalog({ url: 'sqlite::memory:' });
  await catalog.meta.set('key', 'value');
  expect(await catalog.meta.get('key')).toBe('value');
});

test('a writer waits for another process that holds the lock', async () => {
  await using folder = await makeTempDir('catalog');
  const file = folder.join('catalog.db');
  await using catalog = await openCatalog({ url: `sqlite:${file}` });
  const other = new Database(file);
  other.exec('begin immediate');
  const written = catalog.meta.set('key', 'value');
  // The event loop turns while the writer waits, or this would never run.
  await new Promise((resolve) => setImmediate(resolve));
  other.exec('commit');
  other.close();
  await written;
  expect(await catalog.meta.get('key')).toBe('value');
});

test.each([
  ['sqlite:relative/catalog.db', 'must be absolute'],
  ['mysql://hub:secret@localhost/hub', 'must be sqlite:'],
  ['sqlite:/dev/null/catalog.db', 'Check that its folder exists'],
])('%s is refused with what to do', async (url, sentence) => {
  await expect(openCatalog({ url })).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining(sentence),
  });
});

test('a file that is no database is refused and left alone', async () => {
  await using folder = await makeTempDir('catalog');
  const file = folder.join('catalog.db');
  await writeFile(file, 'This is a text, and not a short one.\n'.repeat(100));
  await expect(openCatalog({ url: `sqlite:${file}` })).rejects.toMatchObject({
    code: 'internal',
    message: expect.stringContaining(file),
  });
});

test('a PostgreSQL server that is gone is reported as worth another try', async () => {
  const server = await startPostgres();
  const catalog = await openCatalog({ url: await server.createDatabase() });
  await server.dispose();
  await expect(catalog.ping()).rejects.toMatchObject({ code: 'internal', retryable: true });
  await expect(openCatalog({ url: server.url })).rejects.toMatchObject({ code: 'internal', retryable: true });
  await catalog[Symbol.asyncDispose]();
});
