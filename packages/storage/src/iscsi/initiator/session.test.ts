import { startTcpProxy } from '@holdfast/test-support/tcp-proxy';
import { startTgt } from '@holdfast/test-support/tgt';
import type { TgtServer } from '@holdfast/test-support/tgt';
import { isHoldfastError } from '@holdfast/contract/errors';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sampleBytes } from '../../conformance/sample-bytes.ts';
import { refusal } from '../../conformance/subject.ts';
import { chap, withDigests } from '../testing/scratch-lun.ts';
import { parseLunList, readBlocks, reportLuns, synchronizeCache, writeBlocks } from './block-commands.ts';
import { CommandTimedOut } from './command-queue.ts';
import { parsePortal } from './connection.ts';
import { discoverTargets } from './discovery.ts';
import { randomIsid } from './isid.ts';
import { LogicalUnit } from './logical-unit.ts';
import { decodeLun, encodeLun } from './scsi-command.ts';
import { IscsiSession } from './session.ts';
import type { SessionOptions } from './session.ts';

let server: TgtServer;
beforeAll(async () => {
  server = await startTgt({ sizeBytes: 16 * 1024 * 1024, chap, parameters: withDigests });
});
afterAll(() => server[Symbol.asyncDispose]());

function optionsFor(changes: Partial<SessionOptions> = {}): SessionOptions {
  return {
    portal: { host: '127.0.0.1', port: server.port },
    target: server.target,
    initiatorName: 'iqn.2026-01.test:hub',
    chap,
    digests: true,
    isid: randomIsid(),
    timeoutMs: 10_000,
    ...changes,
  };
}

describe('discovery', () => {
  it('tells the targets and where they are', async () => {
    const { target: _none, isid: _other, ...options } = optionsFor({ chap: undefined });
    expect(await discoverTargets(options)).toEqual([
      { name: server.target, addresses: [`127.0.0.1:${server.port},1`] },
    ]);
  });

  it.each([
    ['10.0.0.1:3261,1', { host: '10.0.0.1', port: 3261 }],
    ['[fe80::1]:3260,2', { host: 'fe80::1', port: 3260 }],
    ['store.example', { host: 'store.example', port: 3260 }],
    ['10.0.0.1:99999', undefined],
    ['', undefined],
    ['a b:1', undefined],
  ])('reads the address %j', (address, portal) => {
    expect(parsePortal(address)).toEqual(portal);
  });
});

describe('a session', () => {
  it.each([true, false])('carries many commands side by side, with digests: %s', async (digests) => {
    await using session = await IscsiSession.open(optionsFor({ digests }));
    expect(session.parameters).toMatchObject({ headerDigest: digests, dataDigest: digests });
    const unit = new LogicalUnit(session, server.lun);
    const { blockBytes } = await unit.describe();
    const parts = Array.from({ length: 40 }, (_, index) => sampleBytes(128 * 1024, index + 1));
    const blockOf = (index: number): number => (index * 128 * 1024) / blockBytes;
    await Promise.all(parts.map((part, index) => unit.run(writeBlocks(blockOf(index), part, blockBytes))));
    await unit.run(synchronizeCache());
    const read = await Promise.all(
      parts.map((_, index) => unit.run(readBlocks(blockOf(index), 256, blockBytes))),
    );
    for (const [index, part] of parts.entries()) expect(read[index]?.equals(part)).toBe(true);
  });

  it('lists the LUNs, and says which there is not', async () => {
    await using session = await IscsiSession.open(optionsFor());
    const luns = parseLunList(await new LogicalUnit(session, server.lun).run(reportLuns()));
    expect(luns.map(decodeLun)).toContain(server.lun);
    for (const lun of [7, 300]) {
      const error = await refusal(new LogicalUnit(session, lun).describe(), 'backend_unavailable');
      expect(error.errors?.[0]?.field).toBe('config.lun');
    }
    const controller = await refusal(new LogicalUnit(session, 0).describe(), 'backend_unavailable');
    expect(controller.message).toContain('is no disk');
  });

  it('tells a bad command from a bad connection, and goes on', async () => {
    await using session = await IscsiSession.open(optionsFor());
    const unit = new LogicalUnit(session, server.lun);
    const { blockCount, blockBytes } = await unit.describe();
    await refusal(unit.run(readBlocks(blockCount, 1, blockBytes)), 'not_supported', 'backend_unavailable');
    expect((await unit.describe()).blockCount).toBe(blockCount);
    expect(session.hasEnded).toBe(false);
  });
});

describe('a login that fails', () => {
  it.each([
    ['for a wrong secret', { chap: { ...chap, password: 'wrong-secret-5678' } }, 'config.chap_password'],
    ['for a wrong name', { chap: { ...chap, username: 'nobody' } }, 'config.chap_password'],
    ['for CHAP that is left out', { chap: undefined }, 'config.chap_password'],
    ['for a target that is not there', { target: 'iqn.2026-01.test:none' }, 'config.target'],
  ])('%s names the field, and shows no secret', async (_name, changes, field) => {
    const error = await refusal(IscsiSession.open(optionsFor(changes)), 'backend_unavailable');
    expect(error.errors?.[0]?.field).toBe(field);
    expect(error.retryable).toBe(false);
    expect(inspect(error, { depth: 10 })).not.toMatch(/wrong-secret|hub-secret/);
  });

  it('because nobody listens, or the name has no address, names portal', async () => {
    const dead = await refusal(
      IscsiSession.open(optionsFor({ portal: { host: '127.0.0.1', port: 1 } })),
      'backend_unavailable',
    );
    expect(dead.message).toContain('portal and port');
    const nameless = optionsFor({ portal: { host: 'no-such-host.invalid', port: 3260 } });
    const error = await refusal(IscsiSession.open(nameless), 'backend_unavailable');
    expect(error.errors?.[0]?.field).toBe('config.portal');
  });
});

describe('a target that is silent', () => {
  it('from the start is given up after the time limit', async () => {
    await using proxy = await startTcpProxy({ port: server.port });
    proxy.stall();
    const options = optionsFor({ portal: { host: '127.0.0.1', port: proxy.listenPort }, timeoutMs: 300 });
    const error = await refusal(IscsiSession.open(options), 'backend_unavailable');
    expect(error.message).toContain('took longer than 0.3 s');
    expect(error.retryable).toBe(true);
  });

  it('in the middle of a command is given up, and every command fails with the same error', async () => {
    await using proxy = await startTcpProxy({ port: server.port });
    const options = optionsFor({ portal: { host: '127.0.0.1', port: proxy.listenPort } });
    await using session = await IscsiSession.open({ ...options, silenceMs: 400 });
    const unit = new LogicalUnit(session, server.lun);
    await unit.describe();
    proxy.stall();
    const reads = await Promise.allSettled([0, 8, 16].map((block) => unit.run(readBlocks(block, 8, 512))));
    const reason = await session.closed;
    expect(reads.map((read) => read.status === 'rejected' && read.reason === reason)).toEqual([
      true,
      true,
      true,
    ]);
    expect(reason.message).toContain('nothing came for 0.4 s');
  });

  it('does not hold a login or a command that is cancelled', async () => {
    await using proxy = await startTcpProxy({ port: server.port });
    const options = optionsFor({ portal: { host: '127.0.0.1', port: proxy.listenPort } });
    await using session = await IscsiSession.open(options);
    proxy.stall();
    const controller = new AbortController();
    const login = IscsiSession.open({ ...options, signal: controller.signal });
    controller.abort();
    await refusal(login, 'cancelled');
    proxy.resume();
    const second = new AbortController();
    const command = session.execute(encodeLun(server.lun), readBlocks(0, 8, 512), { signal: second.signal });
    second.abort();
    const outcome = await command.catch((error: unknown) => error);
    // The answer may have been faster than the abort: both ends are right, and the session lives.
    expect(isHoldfastError(outcome) ? outcome.code : 'done').toMatch(/cancelled|done/);
    await new LogicalUnit(session, server.lun).describe();
  });

  it('but alive gets a command aborted whose answer does not come', async () => {
    await using proxy = await startTcpProxy({ port: server.port });
    const options = optionsFor({ portal: { host: '127.0.0.1', port: proxy.listenPort }, digests: false });
    await using session = await IscsiSession.open(options);
    const unit = new LogicalUnit(session, server.lun);
    await unit.describe();
    // Makes a SCSI response (0x21) look like the answer to a logout (0x26), which means nothing here.
    const flipped = proxy.flipByte({ direction: 'toClient', afterBytes: 0, mask: 0x07 });
    const lun = encodeLun(server.lun);
    const outcome = session.execute(lun, writeBlocks(0, Buffer.alloc(512), 512), { timeoutMs: 200 });
    await expect(outcome).rejects.toBeInstanceOf(CommandTimedOut);
    await flipped;
    expect(session.hasEnded).toBe(false);
    await unit.describe();
  });
});
