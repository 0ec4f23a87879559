import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { chunksOf, digestAt, sampleBytes } from '@holdfast/storage/conformance/sample-bytes';
import { refusal } from '@holdfast/storage/conformance/subject';
import { clearIscsiReservation, prepareIscsi } from '@holdfast/storage/iscsi';
import { readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { startProcess } from '../../support/process.ts';
import { large, MIB, sourceOf } from './contents.ts';
import { chap, IscsiBench, kernelSessions, lunHolders, records } from './iscsi-bench.ts';
import { runningPrograms } from './processes.ts';

const file = parseBackendPath('/folder/file');
const small = (): AsyncGenerator<Uint8Array> => chunksOf(sampleBytes(1000));
const patience = { timeout: 240_000 };
const hubProgram = createRequire(import.meta.url).resolve('@holdfast/storage/iscsi/testing/hub-process');

/** Whatever happened to a LUN: nothing of it stays behind on this machine. */
async function expectNothingLeft(): Promise<void> {
  await vi.waitFor(async () => expect(await lunHolders()).toEqual([]), patience);
  expect(await kernelSessions()).toEqual([]);
  expect(await records()).toEqual([]);
}

afterEach(expectNothingLeft);

describe('a LUN', () => {
  it.each(['ext4', 'xfs'] as const)(
    'with %s is attached by the kernel, formatted once, let go, and attached again',
    async (filesystem) => {
      await using bench = await IscsiBench.start({ filesystem, mode: 'auto' });
      const { backend } = bench;
      const { sha256 } = await backend.write(file, sourceOf(large));
      expect(sha256).toBe(large.sha256());
      expect(await kernelSessions()).toHaveLength(1);
      expect((await runningPrograms()).filter(({ command }) => command.includes('nbdfuse'))).toEqual([]);
      expect((await backend.probe()).checks.filter(({ ok }) => !ok)).toEqual([]);
      await backend[Symbol.asyncDispose]();
      await expectNothingLeft();

      const again = prepareIscsi(bench.config, { ...bench.surroundings, format: true });
      expect((await refusal(again, 'validation_failed')).message).toContain('carries something already');
      await using another = bench.another();
      expect(await digestAt(another, file)).toBe(sha256);
      expect(bench.warnings).toEqual([]);
    },
  );

  it('is told from another one of the same target, also beyond number 255', async () => {
    await using bench = await IscsiBench.start();
    await bench.backend.write(file, small());
    await bench.target.addLun(300, 128);
    const config = { ...bench.config, lun: 300 };
    const { volumeId } = await prepareIscsi(config, { ...bench.surroundings, format: true });
    expect(volumeId).not.toBe(bench.volumeId);
    await using other = bench.another({ lun: 300 });
    await refusal(other.stat(file), 'wrong_volume');
    expect((await bench.backend.stat(file)).size).toBe(1000);
  });

  it('is logged in to with a secret that no process list shows', async () => {
    await using bench = await IscsiBench.start();
    const seen = new Set<string>();
    let isLooking = true;
    const looking = (async () => {
      while (isLooking) for (const { command } of await runningPrograms()) seen.add(command);
    })();
    await bench.backend.write(file, small());
    await bench.backend[Symbol.asyncDispose]();
    isLooking = false;
    await looking;
    expect([...seen].filter((command) => command.includes('iscsiadm'))).not.toEqual([]);
    expect([...seen].filter((command) => command.includes(chap.password))).toEqual([]);
  });

  it.each([
    ['a wrong secret', { chap_password: 'another-secret-99' }, 'chap_password'],
    ['a target that is not there', { target: 'iqn.2026-01.test:nowhere' }, 'target'],
    ['a LUN that is not there', { lun: 7 }, 'lun'],
  ])('is refused with the field at fault for %s', async (_name, changes, field) => {
    await using bench = await IscsiBench.start();
    const changed = { ...bench.config, ...changes };
    const error = await refusal(prepareIscsi(changed, bench.surroundings), 'validation_failed');
    expect(error.errors?.[0]?.field).toBe(`config.${field}`);
    await using backend = bench.another(changes);
    const later = await refusal(backend.stat(file), 'backend_unavailable');
    expect(later.errors?.[0]?.field).toBe(`config.${field}`);
  });
});

describe('two hubs', () => {
  it('cannot both have a LUN: the second is refused, and gets it when the first lets it go', async () => {
    await using bench = await IscsiBench.start();
    const { backend } = bench;
    await backend.write(file, small());
    const second = { ownerId: 'hub-2', stateDir: `${bench.surroundings.stateDir}/second` };
    await using other = bench.another(second);
    const error = await refusal(other.stat(file), 'backend_unavailable');
    expect(error.message).toContain('another hub has reserved the LUN');
    expect((await other.probe()).checks.find(({ ok }) => !ok)?.name).toBe('reservation');
    await backend.write(file, small());
    await backend[Symbol.asyncDispose]();
    expect((await other.stat(file)).size).toBe(1000);
  });

  it('are fenced by a reservation that survives a restart of the target, and by none that was cleared', async () => {
    await using bench = await IscsiBench.start();
    const { backend, target } = bench;
    await backend.write(file, small());
    await target.kill();
    await target.restart();
    // The target has forgotten the reservation, and whoever comes first gets it.
    await vi.waitFor(async () => {
      const { checks } = await backend.probe();
      const reservation = checks.find(({ name }) => name === 'reservation');
      expect(reservation?.message).toBe('The LUN is reserved for this hub.');
    }, patience);
    const holders = await lunHolders();
    const second = { ownerId: 'hub-2', stateDir: `${bench.surroundings.stateDir}/second` };
    await using other = bench.another(second);
    const probe = async (): Promise<string[]> =>
      (await other.probe()).checks.filter(({ ok }) => !ok).map(({ name }) => name);
    await vi.waitFor(async () => expect(await probe()).toEqual(['reservation', 'mount']), patience);
    await backend.write(file, small());

    // The first hub, as long as it runs, would reserve again what somebody has cleared.
    for (const { pid } of holders) process.kill(pid, 'SIGSTOP');
    expect(await clearIscsiReservation(bench.config, { ...bench.surroundings, ...second })).toBe(true);
    expect((await other.stat(file)).size).toBe(1000);
    for (const { pid } of holders) process.kill(pid, 'SIGCONT');
    const mine = parseBackendPath('/mine');
    await vi.waitFor(async () => {
      const error = await refusal(backend.write(mine, small()), 'backend_unavailable', 'read_only');
      expect(error.message).toContain('another hub has reserved the LUN');
    }, patience);
    await refusal(other.stat(mine), 'file_not_found');
  });
});

describe('a target', () => {
  it('that is killed (kill -9) and started again in the middle of a write: it goes on, byte by byte', async () => {
    await using bench = await IscsiBench.start();
    const { backend, target } = bench;
    const again = async (): Promise<void> => {
      await target.kill();
      await target.restart();
    };
    const written = await backend.write(file, sourceOf(large, { after: 12 * MIB, run: again }));
    expect(written.sha256).toBe(large.sha256());
    await backend[Symbol.asyncDispose]();
    await using another = bench.another();
    expect(await digestAt(another, file)).toBe(large.sha256());
  });

  it('that hangs makes calls fail when its time is over, and the LUN is used again when it goes on', async () => {
    await using bench = await IscsiBench.start({ stallMs: 20_000 });
    const { backend, target } = bench;
    await backend.write(file, small());
    const source = sourceOf(large, { after: 12 * MIB, run: () => target.freeze() });
    await refusal(backend.write(parseBackendPath('/large'), source), 'backend_unavailable', 'read_only');
    await target.thaw();
    await vi.waitFor(async () => expect((await backend.stat(file)).size).toBe(1000), patience);
    await refusal(backend.stat(parseBackendPath('/large')), 'file_not_found');
    expect((await backend.write(file, sourceOf(large))).sha256).toBe(large.sha256());
  });

  it('that is away for good ends calls, in words, and does not hold up the end of the backend', async () => {
    await using bench = await IscsiBench.start({ stallMs: 15_000 });
    const { backend, target } = bench;
    await backend.write(file, small());
    await target.kill();
    await vi.waitFor(async () => {
      const error = await refusal(backend.write(file, small()), 'backend_unavailable', 'read_only');
      expect(error.message).toContain('portal and port');
    }, patience);
    await backend[Symbol.asyncDispose]();
  });
});

describe('a hub that is killed (kill -9)', () => {
  it('leaves nothing mounted, and its next start takes the LUN over', async () => {
    await using bench = await IscsiBench.start({ sizeMiB: 512 });
    const { config, surroundings, volumeId } = bench;
    const { logger: _, ...plain } = surroundings;
    const orders = { config, surroundings: plain, volumeId };
    await using hub = await startProcess(process.execPath, ['--no-warnings', hubProgram], {
      input: JSON.stringify(orders),
    });
    await hub.waitForOutput(/^writing$/m, { timeoutMs: 240_000 });
    hub.kill('SIGKILL');
    await bench.backend.write(file, small());
    expect((await bench.backend.list(parseBackendPath('/'))).entries.map(({ name }) => name)).toEqual([
      'folder',
    ]);
  });

  it('together with the process that holds the LUN: the session that is left over is ended first', async () => {
    await using bench = await IscsiBench.start();
    await bench.backend.write(file, small());
    for (const { pid } of await lunHolders()) process.kill(pid, 'SIGKILL');
    await vi.waitFor(async () => expect(await lunHolders()).toEqual([]), patience);
    expect(await kernelSessions()).toHaveLength(1);
    await using next = bench.another();
    expect((await next.stat(file)).size).toBe(1000);
    expect(await kernelSessions()).toHaveLength(1);
    expect(await readdir('/etc/iscsi/ifaces')).toHaveLength(1);
  });
});
