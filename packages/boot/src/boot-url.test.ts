import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backendPathOf, bootFilePath, bootScriptPath } from './boot-url.ts';
import { expandVariables } from './variables.ts';

describe('the path of a boot file', () => {
  it.each([
    ['/vmlinuz', '/api/v1/files/vmlinuz'],
    ['/a b/ü', '/api/v1/files/a%20b/%C3%BC'],
    ["/${mac}/#?&'%(1)*!~", '/api/v1/files/%24%7Bmac%7D/%23%3F%26%27%25%281%29%2A%21~'],
  ])('is made of %s', (path, expected) => {
    expect(bootFilePath(path)).toBe(expected);
  });

  it('leads back to the same path, holds only safe characters, and is a path of the hub as it is', () => {
    const segment = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => !/[/\\]/.test(text) && !/^\.\.?$/.test(text));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 6 }), (segments) => {
        const path = `/${segments.join('/')}`;
        const onHub = bootFilePath(path);
        expect(onHub).toMatch(/^[A-Za-z0-9\-._~/%]+$/);
        expect(new URL(onHub, 'http://h').pathname).toBe(onHub);
        expect(backendPathOf(onHub)).toBe(path);
      }),
    );
  });

  it('is recognised with and without a query, and in other places not', () => {
    expect(backendPathOf('/api/v1/files/a%20b?x=1#y')).toBe('/a b');
    expect(backendPathOf('/api/v1/files/100%')).toBe('/100%');
    expect(backendPathOf('/api/v1/boot')).toBeUndefined();
    expect(backendPathOf('http://elsewhere/api/v1/files/a')).toBeUndefined();
  });

  it('of a script holds the MAC address with hyphens', () => {
    expect(bootScriptPath('52:54:00:12:34:56')).toBe('/api/v1/boot?mac=52-54-00-12-34-56');
  });
});

describe('variables', () => {
  const node = { id: 'n', mac: '52:54:00:12:34:56', name: null, state: 'pending' as const };

  it('are filled in once, and what is not known becomes empty', () => {
    const context = { server: 'http://h', nodeToken: 'x' };
    expect(
      expandVariables('${server} ${node_id} ${mac} [${ip}] ${node_token} ${other} $mac', node, context),
    ).toBe('http://h n 52:54:00:12:34:56 [] x ${other} $mac');
  });

  it('bring in no blanks, quotes or further variables', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        const text = expandVariables('${ip}', node, { server: 'http://h', ip: `\${mac}${value}` });
        expect(text).toMatch(/^mac[A-Za-z0-9._~:/[\]@%+=-]*$/);
      }),
    );
  });
});
