import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseMarker, renderMarker } from './marker.ts';

it('reads what it has written', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.date({ noInvalidDate: true }), (volumeId, date) => {
      const marker = { volumeId, createdAt: date.toISOString() };
      expect(parseMarker(renderMarker(marker), '/srv/.holdfast/volume.json')).toEqual(marker);
    }),
  );
});

it.each([
  [''],
  ['{'],
  ['null'],
  ['[]'],
  ['{"volume_id": ""}'],
  ['{"volume_id": 7}'],
  ['{"created_at": "x"}'],
])('says where the damaged marker %j is, and that trying again does not help', (text) => {
  expect(() => parseMarker(text, '/srv/.holdfast/volume.json')).toThrow(
    expect.objectContaining({
      code: 'backend_unavailable',
      retryable: false,
      message: expect.stringContaining('/srv/.holdfast/volume.json'),
    }),
  );
});
