import { HoldfastError } from '@holdfast/contract/errors';
import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { CheckList } from './check-list.ts';

it('tells every check in order, with what its result says', async () => {
  const list = new CheckList(undefined);
  await list.attempt(
    'resolve',
    (address) => `It is ${address}.`,
    async () => '::1',
  );
  await list.attempt('connect', 'It answers.', async () => {});
  expect(list.report([{ name: 'cdn', ok: true, message: 'Fine.' }])).toMatchObject({
    ok: true,
    checks: [
      { name: 'resolve', ok: true, message: 'It is ::1.' },
      { name: 'connect', ok: true, message: 'It answers.' },
      { name: 'cdn', ok: true, message: 'Fine.' },
    ],
  });
});

it('does not try what comes after a failure', async () => {
  const list = new CheckList(undefined);
  let tried = false;
  await list.attempt('connect', 'It answers.', () => Promise.reject(new Error('nobody there')));
  await list.attempt('list', 'It lists.', async () => {
    tried = true;
  });
  expect([tried, list.hasFailed]).toEqual([false, true]);
  expect(list.report()).toMatchObject({
    ok: false,
    checks: [
      { name: 'connect', ok: false, message: 'The check "connect" failed: nobody there.' },
      { name: 'list', ok: false, message: 'Not tried, because an earlier check failed.' },
    ],
  });
});

it('says a failure in its own words, or in those of the backend', async () => {
  const plain = new CheckList(undefined);
  await plain.attempt('mount', '', () => Promise.reject(new HoldfastError('conflict', 'Already mounted.')));
  expect(plain.report().checks[0]?.message).toBe('Already mounted.');
  const described = new CheckList(undefined, {
    describe: (error, doing) => `${doing} met ${String(error)}.`,
  });
  await described.attempt('mount', '', () => Promise.reject(new Error('EIO')));
  expect(described.report().checks[0]?.message).toBe('The check "mount" met Error: EIO.');
});

it('lets go of a check that hangs, and of cleaning up that hangs, when it may', async () => {
  const controller = new AbortController();
  const list = new CheckList(controller.signal, { letsGo: true });
  const hanging = list.attempt('read', 'It reads.', () => new Promise(() => {}));
  controller.abort(new HoldfastError('backend_unavailable', 'It does not answer.'));
  await hanging;
  let begun = false;
  await list.cleanUp(() => {
    begun = true;
    return new Promise(() => {});
  });
  expect(begun).toBe(true);
  expect(list.report().checks).toEqual([{ name: 'read', ok: false, message: 'It does not answer.' }]);
});

it('keeps to itself that cleaning up fails', async () => {
  const list = new CheckList(undefined);
  await list.cleanUp(() => Promise.reject(new Error('gone')));
  expect(list.report().ok).toBe(true);
});

it('waits for a check that must not be let go, and begins no other', async () => {
  const controller = new AbortController();
  const list = new CheckList(controller.signal);
  const step = Promise.withResolvers<void>();
  let isOver = false;
  const waiting = list.attempt('write', 'It writes.', () => step.promise).finally(() => (isOver = true));
  controller.abort();
  await setImmediate();
  expect(isOver).toBe(false);
  step.resolve();
  await waiting;
  await list.attempt('read', 'It reads.', async () => {});
  expect(list.report().checks).toEqual([
    { name: 'write', ok: true, message: 'It writes.' },
    { name: 'read', ok: false, message: 'The check "read" was cancelled.' },
  ]);
});
