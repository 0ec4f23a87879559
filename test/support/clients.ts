import { chromium } from 'playwright-core';
import { Upload, type UploadOptions } from 'tus-js-client';
import path from 'node:path';
import { runProcess, type RunOptions, type RunResult } from './process.ts';

/** Runs curl: quiet but for errors, failing on statuses of 400 and above. */
export async function curl(args: readonly string[], options?: RunOptions): Promise<RunResult> {
  return await runProcess('curl', ['--silent', '--show-error', '--fail', '--noproxy', '*', ...args], options);
}

/** Runs GNU Wget. Its report, headers included, is on standard error. */
export async function wget(args: readonly string[], options?: RunOptions): Promise<RunResult> {
  const fixed = ['--no-config', '--no-proxy', '--tries=1', '--server-response', '--progress=dot:giga'];
  return await runProcess('wget', [...fixed, ...args], options);
}

/** Runs aria2 without configuration files. Its log is on standard output. */
export async function aria2(args: readonly string[], options?: RunOptions): Promise<RunResult> {
  const fixed = [
    '--no-conf',
    '--console-log-level=info',
    '--summary-interval=0',
    '--max-tries=1',
    '--all-proxy=',
  ];
  return await runProcess('aria2c', [...fixed, ...args], options);
}

/**
 * Downloads a URL in Chromium by a click on a link, as a person does.
 * Resolves to the file's path and the name that the browser chose for it. Throws when the download fails.
 */
export async function browserDownload(
  url: string,
  folder: string,
): Promise<{ file: string; suggestedName: string }> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumFlags });
  try {
    const page = await browser.newPage();
    // A parsed URL has no quote or bracket left; only the ampersand means something in HTML.
    await page.setContent(`<a href="${new URL(url).href.replaceAll('&', '&amp;')}">download</a>`);
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByText('download').click()]);
    const file = path.join(folder, 'download');
    await download.saveAs(file);
    return { file, suggestedName: download.suggestedFilename() };
  } finally {
    await browser.close();
  }
}

/** Debian's Chromium as root, quiet on the network. */
const chromiumFlags = [
  ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
  ...['--disable-component-update', '--disable-sync'],
];

/** Uploads by tus-js-client, which tries again after every failure. Rejects when it gives up. */
export async function tusUpload(
  bytes: Buffer,
  options: Pick<UploadOptions, 'endpoint' | 'headers' | 'chunkSize' | 'metadata'>,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const retryDelays = Array.from({ length: 100 }, () => 200);
    new Upload(bytes, { ...options, retryDelays, onSuccess: () => resolve(), onError: reject }).start();
  });
}

/** Opens a page in Chromium and waits until an expression is true in it. @returns the page's title then */
export async function waitInBrowser(url: string, expression: string, timeoutMs = 150_000): Promise<string> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: chromiumFlags });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    await page.waitForFunction(expression, undefined, { timeout: timeoutMs });
    return await page.title();
  } finally {
    await browser.close();
  }
}
