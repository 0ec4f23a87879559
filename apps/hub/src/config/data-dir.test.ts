import { once } from 'node:events';
import { chmod, mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runProcess, startProcess } from '@holdfast/test-support/process';
import { makeTempDir, type TempDir } from '@holdfast/test-support/temp-dir';
import { hubConfig, startTestHub } from '../testing/test-hub.ts';
import { startHub } from '../start.ts';
import { takeDataDir } from './data-dir.ts';
import { loadSecrets } from './secrets.ts';

let folder: TempDir;
beforeEach(async () => {
  folder = await makeTempDir('data-dir');
});
afterEach(() => folder[Symbol.asyncDispose]());

/** The start of a process in clock ticks, as the hub notes it (proc(5), field 22). */
async function startTimeOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

describe('the data directory', () => {
  it('is made with its parents, for the hub alone, and keeps the id of the hub', async () => {
    const path = folder.join('deep/data');
    const first = takeDataDir(path);
    expect((await stat(path)).mode & 0o777).toBe(0o700);
    expect(first.hubId).toMatch(/^[\da-f-]{36}$/);
    first[Symbol.dispose]();
    const second = takeDataDir(path);
    expect(second.hubId).toBe(first.hubId);
    second[Symbol.dispose]();
    expect(await readdir(path)).toEqual(['hub.id']);
  });

  it('is refused while a hub of another process has it', async () => {
    await using holder = await startProcess('sleep', ['infinity']);
    await writeFile(folder.join('hub.pid'), `${holder.pid} ${await startTimeOf(holder.pid)}`);
    expect(() => takeDataDir(folder.path)).toThrow(
      `Another hub (process ${holder.pid}) is using ${folder.path}`,
    );
    expect(await readdir(folder.path)).toEqual(['hub.pid']);
  });

  it('is refused while a hub of this very process has it', async () => {
    await using hub = await startTestHub();
    await expect(startHub(hubConfig({ dataDir: hub.dataDir }))).rejects.toThrow('is using');
    await hub.upload('/still', 'works');
    await hub.restart();
    expect(await (await hub.request('/api/v1/files/still')).text()).toBe('works');
  });

  it('is taken over from a process that has died', async () => {
    const { stdout } = await runProcess('sh', ['-c', 'echo $$']);
    await writeFile(folder.join('hub.pid'), `${stdout.trim()} 12345`);
    using taken = takeDataDir(folder.path);
    expect(await readFile(folder.join('hub.pid'), 'utf8')).toMatch(new RegExp(`^${process.pid} `));
    expect(taken.path).toBe(folder.path);
  });

  it('is taken over when the pid has gone to another process meanwhile', async () => {
    await using other = await startProcess('sleep', ['infinity']);
    await writeFile(folder.join('hub.pid'), `${other.pid} 1`);
    using taken = takeDataDir(folder.path);
    expect(await readFile(folder.join('hub.pid'), 'utf8')).toMatch(new RegExp(`^${process.pid} `));
    expect(taken.path).toBe(folder.path);
  });

  it.each(['', ' ', '0', '-1', 'nonsense', '0 0'])(
    'is taken over from a pid file that a power cut has left as %j',
    async (text) => {
      await writeFile(folder.join('hub.pid'), text);
      using taken = takeDataDir(folder.path);
      expect(await readFile(folder.join('hub.pid'), 'utf8')).toMatch(new RegExp(`^${process.pid} `));
      expect(taken.path).toBe(folder.path);
    },
  );

  it('is refused when it cannot be made', async () => {
    await writeFile(folder.join('file'), '');
    expect(() => takeDataDir(folder.join('file/data'))).toThrow(
      'cannot be made; check the path and its permissions',
    );
  });
});

describe('the secret key', () => {
  it('is made once, readable by the hub alone', async () => {
    const first = loadSecrets(folder.path, null);
    const file = await stat(folder.join('secret.key'));
    expect(file.mode & 0o777).toBe(0o600);
    expect(loadSecrets(folder.path, null)).toEqual(first);
    expect(await readdir(folder.path)).toEqual(['secret.key']);
  });

  it('of the environment makes no file and gives other keys', () => {
    const own = loadSecrets(folder.path, null);
    const given = loadSecrets(folder.path, 'x'.repeat(32));
    expect(given.sealingKey).toHaveLength(32);
    expect(given.sealingKey.equals(own.sealingKey)).toBe(false);
    expect(given.sealingKeyCheck).not.toContain(given.sealingKey.toString('hex'));
  });

  it.each([
    ['is too short', (file: string) => writeFile(file, 'short\n'), 'is too short; restore it from a backup'],
    ['is a folder', (file: string) => mkdir(file), 'cannot be read; check its owner and mode'],
  ])('that %s is refused', async (_, spoil, message) => {
    await spoil(folder.join('secret.key'));
    expect(() => loadSecrets(folder.path, null)).toThrow(message);
  });

  it('that is another one than the catalog was set up with keeps the hub from starting', async () => {
    await using hub = await startTestHub();
    await hub.stop();
    const config = hubConfig({
      dataDir: hub.dataDir,
      secretKey: 'another secret key of 32 characters or more',
    });
    await expect(startHub(config)).rejects.toMatchObject({ code: 'validation_failed' });
    await chmod(`${hub.dataDir}/secret.key`, 0o600);
    await hub.restart(); // the refused start has left nothing behind, its lock included
    expect((await hub.request('/readyz')).status).toBe(200);
  });
});

describe('a port that is taken', () => {
  it('keeps the hub from starting, and its directory free', async () => {
    await using hub = await startTestHub();
    const port = Number(new URL(hub.url).port);
    const dataDir = folder.path;
    await expect(startHub(hubConfig({ dataDir, port }))).rejects.toThrow('EADDRINUSE');
    await using second = await startHub(hubConfig({ dataDir }));
    expect((await fetch(`${second.url}/readyz`)).status).toBe(200);
    const closed = once(second.context.app.server, 'close');
    await second.stop();
    await closed;
  });
});
