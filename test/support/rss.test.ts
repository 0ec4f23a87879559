import { expect, it } from 'vitest';
import { startProcess } from './process.ts';
import { peakMemory, resetPeakMemory } from './rss.ts';

const mebibyte = 1024 * 1024;

it('sees a peak that has passed, and forgets it on reset', async () => {
  await using child = await startProcess(process.execPath, ['-e', allocateAndRelease]);
  await child.waitForOutput(/^released$/m, { timeoutMs: 30_000 });
  const peak = await peakMemory(child.pid);
  await resetPeakMemory(child.pid);
  const after = await peakMemory(child.pid);
  expect(peak).toBeGreaterThan(300 * mebibyte);
  expect(after).toBeLessThan(peak - 250 * mebibyte);
});

/** A mapping of this size goes back to the system when its buffer is collected. */
const allocateAndRelease = `
  require('node:v8').setFlagsFromString('--expose-gc');
  const gc = require('node:vm').runInNewContext('gc');
  (() => { new Uint8Array(${300 * mebibyte}).fill(1); })();
  gc(); gc();
  setImmediate(() => { gc(); console.log('released'); });
  setInterval(() => {}, 1000);
`;
