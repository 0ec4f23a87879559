import { expect, it } from 'vitest';
import { isTempName, newTempName } from './temp-name.ts';

it('tells temporary names from others', () => {
  expect(isTempName(newTempName())).toBe(true);
  expect(isTempName('.holdfast-notes.tmp')).toBe(false);
  expect(isTempName(`${newTempName()}x`)).toBe(false);
});
