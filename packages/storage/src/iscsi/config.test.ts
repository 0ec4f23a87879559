import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { connectionSettings, defaultInitiatorName, lunKey, mountConnection } from './config.ts';
import type { IscsiConfig } from './config.ts';
import { isSameOwner } from './initiator/fence.ts';

const config: IscsiConfig = { target: 'iqn.2026-01.test:disk', portal: 'store.example' };
const owner = { ownerId: 'hub-1' };

function refusedField(changes: Partial<IscsiConfig>): string | undefined {
  try {
    connectionSettings({ ...config, ...changes }, owner);
  } catch (error) {
    if (isHoldfastError(error, 'validation_failed')) return error.errors?.[0]?.field;
    throw error;
  }
  return undefined;
}

describe('a configuration', () => {
  it('is filled up with defaults', () => {
    expect(connectionSettings(config, owner)).toEqual({
      portal: { host: 'store.example', port: 3260 },
      target: config.target,
      lun: 0,
      initiatorName: 'iqn.2026-01.dev.holdfast:hub-1',
      digests: true,
    });
  });

  it.each([
    [{ target: 'disk' }, 'config.target'],
    [{ target: 'iqn.26-1.test' }, 'config.target'],
    [{ target: `iqn.2026-01.test:${'x'.repeat(230)}` }, 'config.target'],
    [{ portal: '' }, 'config.portal'],
    [{ portal: 'a b' }, 'config.portal'],
    [{ port: 0 }, 'config.port'],
    [{ port: 65_536 }, 'config.port'],
    [{ lun: -1 }, 'config.lun'],
    [{ lun: 16_384 }, 'config.lun'],
    [{ chap_enabled: true }, 'config.chap_username'],
    [{ chap_enabled: true, chap_username: 'hub' }, 'config.chap_password'],
    [{ chap_enabled: true, chap_username: 'h\nub', chap_password: 'secret' }, 'config.chap_username'],
    [{ initiator_name: 'hub' }, 'config.initiator_name'],
    [{ initiator_name: 'eui.0123456789abcdef', portal: '[fd00::1]' }, undefined],
    [{ target: 'naa.0123456789abcdef', chap_enabled: false, chap_password: null }, undefined],
  ] as const)('%j is refused by the field %s', (changes, field) => {
    expect(refusedField(changes)).toBe(field);
  });

  it('gives every hub a name of its own that targets take', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 200 }), (ownerId) => {
        expect(refusedField({ initiator_name: defaultInitiatorName(ownerId) })).toBeUndefined();
      }),
    );
  });
});

describe('what a LUN is known by', () => {
  it('is the same by whatever portal, and another for another LUN', () => {
    const settings = connectionSettings(config, owner);
    expect(lunKey({ ...settings, target: settings.target.toUpperCase() })).toBe(lunKey(settings));
    expect(lunKey({ ...settings, lun: 1 })).not.toBe(lunKey(settings));
  });

  it('to a target is the same from start to start, but for a key that fences off the start before', () => {
    const settings = connectionSettings(config, owner);
    const [first, second] = [mountConnection(settings, owner), mountConnection(settings, owner)];
    expect({ ...second, fenceKey: '' }).toEqual({ ...first, fenceKey: '' });
    expect(second.fenceKey).not.toBe(first.fenceKey);
    const keyOf = (connection: { fenceKey: string }): Buffer => Buffer.from(connection.fenceKey, 'hex');
    expect(isSameOwner(keyOf(first), keyOf(second))).toBe(true);
    const other = mountConnection(settings, { ownerId: 'hub-2' });
    expect(isSameOwner(keyOf(first), keyOf(other))).toBe(false);
    expect(other.isid).not.toBe(first.isid);
  });
});
