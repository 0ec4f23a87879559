import { createServer, request as forward } from 'node:http';
import { build } from 'rolldown';
import { servePage } from './serve-page.ts';
import type { ServedPage } from './serve-page.ts';

/**
 * Bundles a module for browsers: one script that defines the global `page` with what the module exports.
 * Throws when the module, or anything that it imports, needs Node.
 */
export async function bundleForBrowser(entry: string): Promise<string> {
  const { output } = await build({
    input: entry,
    platform: 'browser',
    write: false,
    logLevel: 'silent',
    external: /^node:/,
    output: { format: 'iife', name: 'page' },
  });
  const [chunk] = output;
  const foreign = [...chunk.imports, ...chunk.dynamicImports];
  if (foreign.length > 0) throw new Error(`${entry} needs ${foreign.join(', ')}, which no browser has.`);
  return chunk.code;
}

/** A page on loopback. Disposing stops serving it. */
export interface BrowserPage extends ServedPage {
  /** Its title becomes what the call resolves to, or `failed: …`. */
  readonly url: string;
}

export interface BrowserPageOptions {
  /** A bundle of `bundleForBrowser`. */
  script: string;
  /** An expression of JavaScript that resolves to the title, e.g. `page.run(location.origin)`. */
  call: string;
  /** The server that the page's own origin passes everything below `/api/` on to. */
  api: string;
}

/** Serves a page that runs a script, and passes its calls of the API on, as a reverse proxy before a hub does. */
export async function serveBrowserPage({ script, call, api }: BrowserPageOptions): Promise<BrowserPage> {
  const html =
    '<!doctype html><meta charset="utf-8"><title>loading</title><script src="/page.js"></script><script>' +
    `${call}.then((title) => { document.title = title }, (error) => { document.title = 'failed: ' + error });</script>`;
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    if (!path.startsWith('/api/')) {
      const isScript = path === '/page.js';
      response.writeHead(200, { 'Content-Type': isScript ? 'text/javascript' : 'text/html' });
      response.end(isScript ? script : html);
      return;
    }
    const { method, headers } = request;
    const onward = forward(new URL(path, api), { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  return await servePage(server);
}
