import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeConfig, splitSecrets } from './config-fields.ts';
import { seal, unseal } from './seal.ts';

const key = randomBytes(32);

describe('a sealed secret', () => {
  it('opens to what it was, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (plain, owner) => {
        expect(unseal(key, owner, seal(key, owner, plain))).toBe(plain);
      }),
    );
  });

  it('never looks the same twice, and does not show its text', () => {
    const first = seal(key, 'backend:1', 'correct horse battery staple');
    expect(seal(key, 'backend:1', 'correct horse battery staple')).not.toBe(first);
    expect(Buffer.from(first, 'base64url').toString('latin1')).not.toContain('horse');
  });

  it('does not open for another owner or with another key', () => {
    const sealed = seal(key, 'backend:1', 'secret');
    expect(() => unseal(key, 'backend:2', sealed)).toThrow('The secrets of backend:2 cannot be opened');
    expect(() => unseal(randomBytes(32), 'backend:1', sealed)).toThrow('HOLDFAST_SECRET_KEY');
  });

  it('does not open once any bit of it was changed', () => {
    const sealed = seal(key, 'backend:1', 'secret');
    const bytes = Buffer.from(sealed.slice(3), 'base64url');
    fc.assert(
      fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
        const changed = Buffer.from(bytes);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => unseal(key, 'backend:1', `v1.${changed.toString('base64url')}`)).toThrow(
          'cannot be opened',
        );
      }),
    );
  });

  it.each(['', 'v1.', 'v2.AAAA', 'secret', 'v1.AAAA'])('does not open when it is %j', (sealed) => {
    expect(() => unseal(key, 'backend:1', sealed)).toThrow('cannot be opened');
  });
});

describe('the secret fields of a configuration', () => {
  it('are taken out of what is kept open', () => {
    const config = { base_url: 'http://host', username: 'me', password: 'hidden', port: 1 };
    expect(splitSecrets(config, ['password', 'token'])).toEqual({
      open: { base_url: 'http://host', username: 'me', port: 1 },
      secrets: { password: 'hidden' },
    });
  });

  it('stay when a change leaves them out, and go when it says null', () => {
    const config = { username: 'me', password: 'hidden' };
    expect(mergeConfig(config, { username: 'you' })).toEqual({ username: 'you', password: 'hidden' });
    expect(mergeConfig(config, { password: null })).toEqual({ username: 'me' });
    expect(mergeConfig(config, { password: 'other' })).toEqual({ username: 'me', password: 'other' });
    expect(config).toEqual({ username: 'me', password: 'hidden' });
  });

  it('are never kept open in another type either', () => {
    expect(splitSecrets({ password: { nested: 'hidden' }, token: 5 }, ['password', 'token']).open).toEqual(
      {},
    );
  });
});
