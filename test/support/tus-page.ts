import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { build } from 'rolldown';
import { servePage } from './serve-page.ts';
import type { ServedPage } from './serve-page.ts';

/** A web page that uploads a file by Uppy. Disposing stops serving it. */
export interface TusPage extends ServedPage {
  /** Takes `endpoint`, `key`, `seed` and `size` in its query; its title becomes `done` or `failed: …`. */
  readonly url: string;
}

/** What runs in the page: Uppy as its documentation has it, with a file of bytes that the test can make as well. */
const script = `
import Uppy from '@uppy/core';
import Tus from '@uppy/tus';

const query = new URL(location.href).searchParams;
const size = Number(query.get('size'));
const bytes = new Uint8Array(size);
for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >>> 8) * 17 + (at >>> 16)) & 255;

const uppy = new Uppy({ autoProceed: false });
uppy.use(Tus, {
  endpoint: query.get('endpoint'),
  headers: { authorization: 'Bearer ' + query.get('key') },
  chunkSize: 1024 * 1024,
  retryDelays: Array.from({ length: 100 }, () => 200),
});
uppy.on('upload-progress', (_file, progress) => {
  document.title = 'sent ' + progress.bytesUploaded;
});
uppy.addFile({ name: 'from-uppy.bin', type: 'application/octet-stream', data: new Blob([bytes]) });
uppy.upload().then(
  (result) => {
    document.title = result.failed.length === 0 ? 'done' : 'failed: ' + String(result.failed[0].error);
  },
  (error) => {
    document.title = 'failed: ' + String(error);
  },
);
`;

/** The bytes that the page uploads. */
export function tusPageBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) bytes[at] = (at * 31 + (at >>> 8) * 17 + (at >>> 16)) & 255;
  return bytes;
}

/** Bundles the page for browsers and serves it on loopback. */
export async function serveTusPage(): Promise<TusPage> {
  // Beside this file, where the packages are found that it imports.
  const folder = await mkdtemp(path.join(import.meta.dirname, '.tus-page-'));
  try {
    const input = path.join(folder, 'page.js');
    await writeFile(input, script);
    const { output } = await build({ input, platform: 'browser', write: false, output: { format: 'iife' } });
    const code = output[0].code;
    const server = createServer((request, response) => {
      const isScript = request.url?.startsWith('/page.js') === true;
      response.writeHead(200, { 'Content-Type': isScript ? 'text/javascript' : 'text/html' });
      response.end(
        isScript
          ? code
          : '<!doctype html><meta charset="utf-8"><title>loading</title><script src="/page.js"></script>',
      );
    });
    return await servePage(server);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
