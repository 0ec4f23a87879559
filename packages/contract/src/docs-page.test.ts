import { describe, expect, it } from 'vitest';
import { docsPage } from './docs-page.ts';
import { endpoints } from './endpoints.ts';
import { errorCatalogue } from './errors.ts';
import { openApiDocument } from './openapi.ts';

const page = docsPage(openApiDocument({ version: '1.2.3', serverUrl: 'https://files.example.org' }));

describe('the documentation page', () => {
  it('has a place for every endpoint and every error code', () => {
    for (const name of Object.keys(endpoints)) expect(page).toContain(`id="${name}"`);
    for (const code of Object.keys(errorCatalogue)) expect(page).toContain(`id="error-${code}"`);
  });

  it('has a target for every link, and each target once', () => {
    const ids = [...page.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const links = [...page.matchAll(/href="#([^"]*)"/g)].map(([, id]) => id);
    expect(links.length).toBeGreaterThan(100);
    expect(links.filter((link) => !ids.includes(link))).toEqual([]);
  });

  it('loads nothing and runs nothing', () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|@import|url\(|\son\w+=/i);
    const outside = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, target]) => target ?? '');
    expect(outside.filter((target) => !target.startsWith('#'))).toEqual(['/openapi.json']);
  });

  it('closes what it opens', () => {
    const open: string[] = [];
    for (const [, slash, name = ''] of page.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*>/g)) {
      if (['meta', 'br'].includes(name)) continue;
      if (slash === '') open.push(name);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
  });

  it('shows a command that can be pasted into a shell', () => {
    expect(page).toContain(
      [
        'curl \\',
        '  -X POST \\',
        '  -H &quot;Authorization: Bearer $HOLDFAST_KEY&quot; \\',
        '  -H &#39;Content-Type: application/octet-stream&#39; \\',
        '  --data-binary @vmlinuz \\',
        '  &#39;https://files.example.org/api/v1/storage/backends/ID/files?path=/debian/vmlinuz&#39;',
      ].join('\n'),
    );
  });

  it('shows endpoints that are nothing but OPTIONS or HEAD, and how curl asks for them', () => {
    expect(page).toContain('<span class="options">OPTIONS</span> /api/tus<');
    expect(page).toContain('<span class="head">HEAD</span> /api/tus/{upload_id}<');
    expect(page).toContain(
      [
        'curl \\',
        '  --head \\',
        '  -H &quot;Authorization: Bearer $HOLDFAST_KEY&quot; \\',
        '  &#39;https://files.example.org/api/tus/UPLOAD_ID&#39;',
      ].join('\n'),
    );
    expect(page).not.toContain('-X HEAD');
  });

  it('leaves no braces in a command, because curl expands them', () => {
    const commands = [...page.matchAll(/<pre>(curl[^<]*)<\/pre>/g)].map(([, command]) => command ?? '');
    expect(commands.length).toBe(Object.keys(endpoints).length);
    const targets = commands.map((command) => command.slice(command.lastIndexOf('&#39;http')));
    expect(targets.filter((target) => /[{}]/.test(target))).toEqual([]);
  });

  it('escapes whatever the document says', () => {
    const hostile = '<script>alert("1")</script>';
    const operation = {
      operationId: hostile,
      tags: [hostile],
      summary: hostile,
      description: `a \`${hostile}\` b`,
      'x-access': hostile,
      parameters: [
        { name: hostile, in: hostile, description: hostile, schema: { type: hostile, default: hostile } },
      ],
      responses: { 200: { description: hostile, content: { [hostile]: {} } }, 400: { 'x-codes': [hostile] } },
    };
    const text = docsPage({
      info: { title: hostile, version: hostile, description: hostile },
      servers: [{ url: hostile }],
      tags: [{ name: hostile, description: hostile }],
      paths: { [`/${hostile}`]: { [hostile]: operation } },
      components: {
        schemas: { [hostile]: { properties: { [hostile]: { enum: [hostile], $ref: hostile } } } },
      },
      'x-error-codes': [{ code: hostile, status: hostile, title: hostile }],
    });
    expect(text).not.toContain('<script');
    expect(text).toContain('&lt;script&gt;');
  });
});
