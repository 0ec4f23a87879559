import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundleForBrowser, serveBrowserPage } from '@holdfast/test-support/browser-page';
import { waitInBrowser } from '@holdfast/test-support/clients';
import { startHub } from '@holdfast/test-support/hub';
import { tusPageBytes } from '@holdfast/test-support/tus-page';
import { uploadAndReadBack } from './testing/browser-upload.ts';

const entry = join(import.meta.dirname, 'testing/browser-upload.ts');

describe('the client in a browser', () => {
  it.each(['client.ts', 'upload.ts', 'upload-source.ts', 'batch.ts', 'events.ts'])(
    'has %s without anything of Node',
    async (name) => {
      expect(await bundleForBrowser(join(import.meta.dirname, name))).not.toContain('node:');
    },
  );

  it('is told from what is for Node', async () => {
    const forNode = join(import.meta.dirname, 'node/upload-file.ts');
    await expect(bundleForBrowser(forNode)).rejects.toThrow(/needs .*node:fs/);
  });

  it('sends a file in chunks and reads it back', { timeout: 180_000 }, async () => {
    await using hub = await startHub();
    const size = 20 * 1024 * 1024 + 3;
    await using page = await serveBrowserPage({
      script: await bundleForBrowser(entry),
      call: `page.${uploadAndReadBack.name}(location.origin, '${hub.adminKey}', ${size})`,
      api: hub.url,
    });
    const title = await waitInBrowser(page.url, "document.title !== 'loading'");
    const sha256 = createHash('sha256').update(tusPageBytes(size)).digest('hex');
    expect(title).toBe(JSON.stringify({ sha256, back: sha256, phases: 'finishing 3' }));
  });
});
