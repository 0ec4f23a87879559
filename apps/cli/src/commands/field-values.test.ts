import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { settingsPatch } from '@holdfast/contract/settings';
import { UsageError } from '../exit-codes.ts';
import { assignments, checked, fieldValue } from './field-values.ts';

test('a text field keeps its text, whatever it looks like', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(fieldValue(z.string(), text)).toBe(text);
    }),
  );
});

test('numbers come out as they were written', () => {
  fc.assert(
    fc.property(fc.integer(), (value) => {
      expect(fieldValue(z.int(), String(value))).toBe(value);
    }),
  );
});

test('a name goes up to the first equals sign', () => {
  const name = fc.string({ minLength: 1 }).filter((text) => !text.includes('='));
  fc.assert(
    fc.property(name, fc.string(), (left, right) => {
      expect(assignments([`${left}=${right}`])).toEqual([[left, right]]);
    }),
  );
  expect(() => assignments(['bandwidth'])).toThrow(UsageError);
  expect(() => assignments(['=800'])).toThrow(UsageError);
});

test('null, yes and no, and lists are taken where the field takes them', () => {
  const { default_boot_backend_id, anonymous_boot_networks } = settingsPatch.shape;
  expect(fieldValue(default_boot_backend_id, 'null')).toBeNull();
  expect(fieldValue(z.boolean().default(false), 'true')).toBe(true);
  expect(fieldValue(anonymous_boot_networks, '10.0.0.0/8, fd00::/8')).toEqual(['10.0.0.0/8', 'fd00::/8']);
  expect(fieldValue(anonymous_boot_networks, '')).toEqual([]);
});

test('a refusal tells what is wrong with the value and not with its kind', () => {
  const bandwidth = settingsPatch.shape.file_serving_bandwidth_mbps;
  const schema = z.object({ bandwidth });
  expect(() => checked(schema, { bandwidth: fieldValue(bandwidth, '0') }, 'It')).toThrow(
    expect.objectContaining({
      code: 'validation_failed',
      errors: [{ field: 'bandwidth', message: expect.stringMatching(/1/) }],
    }),
  );
});
