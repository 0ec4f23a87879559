import { parseBackendPath, ROOT } from '@holdfast/bytes/backend-path';
import { runProcess, startProcess } from '@holdfast/test-support/process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { bytesAt, chunksOf, sampleBytes } from '../conformance/sample-bytes.ts';
import { refusal } from '../conformance/subject.ts';
import { holderPid, ScratchLun, stackFolder, stackProcesses } from './testing/scratch-lun.ts';
import { clearIscsiReservation, prepareIscsi } from '../iscsi.ts';
import { runTool } from './stack/tool.ts';
import { loopsOf } from './stack/stale-loops.ts';

const p = parseBackendPath;
const bytes = sampleBytes(100_000);

describe('two hubs', () => {
  it('cannot both have the LUN: the second is refused, and the first goes on', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    const second = { ownerId: 'hub-2', stateDir: `${lun.stateDir}/second` };
    await using other = lun.backendFor(lun.volumeId, second);
    const error = await refusal(other.stat(p('/file')), 'backend_unavailable');
    expect(error.message).toContain('another hub has reserved the LUN');
    expect(error.retryable).toBe(false);
    const refused = await refusal(
      prepareIscsi(lun.config, { ...lun.surroundings, ...second }),
      'validation_failed',
    );
    expect(refused.errors?.[0]?.field).toBe('config.lun');
    expect((await other.probe()).checks.find((check) => !check.ok)?.name).toBe('reservation');
    await lun.backend.write(p('/file'), chunksOf(bytes));
    await lun.backend[Symbol.asyncDispose]();
    expect((await bytesAt(other, p('/file'))).equals(bytes)).toBe(true);
  });

  it('are told apart by a reservation that a person can clear, and then the first has lost the LUN', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    const second = { ownerId: 'hub-2', stateDir: `${lun.stateDir}/second` };
    // The first hub reserves again what was cleared when it writes first, and its file system does so by itself.
    const [exporter] = (await stackProcesses(lun.stateDir)).filter(({ command }) =>
      command.includes('exporter-main'),
    );
    if (exporter === undefined) throw new Error('The first hub exports nothing.');
    process.kill(exporter.pid, 'SIGSTOP');
    expect(await clearIscsiReservation(lun.config, second)).toBe(true);
    await using other = lun.backendFor(lun.volumeId, second);
    expect((await other.list(ROOT)).entries).toHaveLength(1);
    process.kill(exporter.pid, 'SIGCONT');
    const error = await refusal(lun.backend.write(p('/mine'), chunksOf(bytes)), 'backend_unavailable');
    expect(error.message).toContain('another hub has reserved the LUN');
    await other.write(p('/theirs'), chunksOf(bytes));
    await other[Symbol.asyncDispose]();
    await using again = lun.backendFor(lun.volumeId);
    expect((await again.list(ROOT)).entries.map((entry) => entry.name)).toEqual(['file', 'theirs']);
    expect(await clearIscsiReservation(lun.config, second)).toBe(true);
    expect(await clearIscsiReservation(lun.config, second)).toBe(false);
  });
});

describe('a hub that is killed in the middle of a write', () => {
  const program = fileURLToPath(new URL('testing/hub-process.ts', import.meta.url));

  /** A hub that writes to the LUN, and is killed while it does. */
  async function killedHub(lun: ScratchLun, before: () => Promise<void>): Promise<void> {
    const { config, volumeId, surroundings } = lun;
    const orders = { config, volumeId, surroundings: { ...surroundings, logger: undefined } };
    await using hub = await startProcess(process.execPath, [program], { input: JSON.stringify(orders) });
    await hub.waitForOutput(/writing/, { timeoutMs: 30_000 });
    await before();
    hub.kill('SIGKILL');
    await hub.exited;
  }

  it('leaves no file and nothing mounted; the next start takes over and sweeps', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    await lun.backend[Symbol.asyncDispose]();
    await killedHub(lun, async () => {});
    await using next = lun.backendFor(lun.volumeId);
    expect((await next.list(ROOT)).entries.map((entry) => entry.name)).toEqual(['file']);
    await next.sweep();
    await next.write(p('/file'), chunksOf(bytes));
    await next[Symbol.asyncDispose]();
    expect(await stackProcesses(lun.stateDir)).toEqual([]);
    expect(await loopsOf(await stackFolder(lun.stateDir))).toEqual([]);
  });

  it('and all that belongs to it with it: the journal is replayed, and what was stored is there', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    await lun.backend[Symbol.asyncDispose]();
    await killedHub(lun, async () => {
      process.kill(await holderPid(lun.stateDir), 'SIGKILL');
    });
    await using next = lun.backendFor(lun.volumeId);
    expect((await bytesAt(next, p('/file'))).equals(bytes)).toBe(true);
    const swept = await next.sweep();
    expect(swept.removed).toBeLessThanOrEqual(1);
    expect((await next.list(ROOT)).entries.map((entry) => entry.name)).toEqual(['file']);
    await next.write(p('/new'), chunksOf(bytes));
  });
});

describe('a LUN that is let go', () => {
  it('has an empty journal, and nothing of the stack is left', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend.write(p('/file'), chunksOf(bytes));
    expect((await stackProcesses(lun.stateDir)).length).toBeGreaterThanOrEqual(3);
    expect(await loopsOf(await stackFolder(lun.stateDir))).toHaveLength(1);
    await lun.backend[Symbol.asyncDispose]();
    expect(await stackProcesses(lun.stateDir)).toEqual([]);
    expect(await loopsOf(await stackFolder(lun.stateDir))).toEqual([]);
    const { stdout } = await runTool('dumpe2fs', ['-h', lun.server.image]);
    expect(stdout).toMatch(/^Filesystem state:\s+clean$/m);
    expect(stdout).not.toContain('needs_recovery');
    // It was reserved, and is free now.
    expect(await clearIscsiReservation(lun.config, lun.surroundings)).toBe(false);
  });

  it('keeps nobody’s process alive while it is mounted and idle', async () => {
    await using lun = await ScratchLun.formatted();
    await lun.backend[Symbol.asyncDispose]();
    const { config, volumeId, surroundings } = lun;
    const orders = { config, volumeId, surroundings: { ...surroundings, logger: undefined }, only: 'look' };
    const program = fileURLToPath(new URL('testing/hub-process.ts', import.meta.url));
    const { code } = await runProcess(process.execPath, [program], { input: JSON.stringify(orders) });
    expect(code).toBe(0);
    // Its stack goes down by itself; this waits for that.
    await using next = lun.backendFor(volumeId);
    expect((await next.list(ROOT)).entries).toEqual([]);
  });
});

describe('the secret of CHAP', () => {
  it('is in no error, no process list, no file, and no warning', async () => {
    await using lun = await ScratchLun.formatted({ digests: false });
    await lun.backend.write(p('/file'), chunksOf(bytes));
    const shown = [JSON.stringify(await stackProcesses(lun.stateDir)), ...lun.warnings];
    const wrong = { ...lun.config, chap_password: 'another-secret-5678' };
    shown.push(
      inspect(await refusal(prepareIscsi(wrong, lun.surroundings), 'validation_failed'), { depth: 10 }),
    );
    await using other = lun.backendFor(lun.volumeId, {
      ...wrong,
      ownerId: 'hub-2',
      stateDir: `${lun.stateDir}/2`,
    });
    shown.push(inspect(await refusal(other.stat(p('/file')), 'backend_unavailable'), { depth: 10 }));
    shown.push(inspect(lun.backend, { depth: 10, showHidden: true }), JSON.stringify(await other.probe()));
    for (const entry of await readdir(lun.stateDir, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) shown.push(await readFile(join(entry.parentPath, entry.name), 'latin1'));
    }
    expect(shown.length).toBeGreaterThan(6);
    for (const text of shown) expect(text).not.toMatch(/hub-secret|another-secret/);
  });
});
