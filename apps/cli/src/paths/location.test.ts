import fc from 'fast-check';
import { expect, test } from 'vitest';
import { joinedPath, lastSegment, locationText, parseLocation } from './location.ts';

test.each([
  ['-', { kind: 'stdio' }],
  ['a.txt', { kind: 'local', path: 'a.txt' }],
  ['/a:/b', { kind: 'local', path: '/a:/b' }],
  ['./a:/b', { kind: 'local', path: './a:/b' }],
  ['a:b', { kind: 'local', path: 'a:b' }],
  ['default:/', { kind: 'backend', backend: 'default', path: '/' }],
  ['my nas:/a b', { kind: 'backend', backend: 'my nas', path: '/a b' }],
  ['n:/a:/b', { kind: 'backend', backend: 'n', path: '/a:/b' }],
  ['hub:/', { kind: 'hub', host: '', path: '' }],
  ['hub:/build-7', { kind: 'hub', host: 'build-7', path: '' }],
  ['hub:/build-7/', { kind: 'hub', host: 'build-7', path: '' }],
  ['hub:/build-7/etc/hosts', { kind: 'hub', host: 'build-7', path: '/etc/hosts' }],
  [String.raw`hub:/desk/C:\Users\ada`, { kind: 'hub', host: 'desk', path: String.raw`C:\Users\ada` }],
])('%s', (text, location) => {
  expect(parseLocation(text)).toEqual(location);
});

test('what is written for a location is read back as the same one', () => {
  const name = fc.stringMatching(/^[\w. -]{1,12}$/).filter((text) => text !== 'hub' && text !== '-');
  const path = fc.stringMatching(/^(\/[\w.: -]{1,8}){1,4}$/);
  const location = fc.oneof(
    fc.record({ kind: fc.constant('backend' as const), backend: name, path }),
    fc.record({ kind: fc.constant('local' as const), path: name }),
    fc.record({ kind: fc.constant('hub' as const), host: fc.stringMatching(/^[\w.-]{1,12}$/), path }),
  );
  fc.assert(
    fc.property(location, (one) => {
      const again = parseLocation(locationText(one));
      const drive = one.kind === 'hub' && /^\/[A-Za-z]:\//.test(one.path);
      expect(again).toEqual(drive ? { ...one, path: one.path.slice(1) } : one);
    }),
  );
});

test('segments of both kinds of paths', () => {
  expect(lastSegment('/a/b/')).toBe('b');
  expect(lastSegment(String.raw`C:\Users\ada`)).toBe('ada');
  expect(lastSegment('/')).toBe('');
  expect(joinedPath('/a/', '/b')).toBe('/a/b');
  expect(joinedPath('/', 'b')).toBe('/b');
});
