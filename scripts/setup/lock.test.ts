import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { acquire } from './lock.cjs';

let folder: string;
let lock: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-lock-'));
  lock = join(folder, 'cache', 'setup.lock');
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

function holdAs(owner: { pid: number; host: string }): void {
  mkdirSync(lock, { recursive: true });
  writeFileSync(join(lock, 'owner.json'), JSON.stringify(owner));
}

test('is held until it is released, and can then be taken again', async () => {
  const release = await acquire(lock, () => undefined);
  expect(existsSync(lock)).toBe(true);
  release();
  expect(existsSync(lock)).toBe(false);
  (await acquire(lock, () => undefined))();
});

test('a second caller waits, says so once, and gets it after the release', async () => {
  const release = await acquire(lock, () => undefined);
  const onWait = vi.fn<() => void>(() => setImmediate(release));
  const second = await acquire(lock, onWait);
  expect(onWait).toHaveBeenCalledOnce();
  expect(existsSync(lock)).toBe(true);
  second();
});

test('the lock of a process that has ended is taken over without waiting', async () => {
  const { pid } = spawnSync(process.execPath, ['--version']);
  holdAs({ pid, host: hostname() });
  const onWait = vi.fn<() => void>();
  const release = await acquire(lock, onWait);
  expect(onWait).not.toHaveBeenCalled();
  release();
});

test('the lock of another machine is taken over only when its holder has gone silent', async () => {
  holdAs({ pid: process.pid, host: 'another-machine' });
  const silentForMs = 120_000;
  const onWait = vi.fn<() => void>(() => {
    const then = new Date(Date.now() - silentForMs);
    utimesSync(lock, then, then);
  });
  const release = await acquire(lock, onWait);
  expect(onWait).toHaveBeenCalledOnce();
  release();
});

test('a release after another process has taken over leaves the new lock alone', async () => {
  const release = await acquire(lock, () => undefined);
  holdAs({ pid: process.pid + 1, host: 'another-machine' });
  release();
  expect(existsSync(lock)).toBe(true);
});
