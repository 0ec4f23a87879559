import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHoldfastError } from './errors.ts';
import { nodeTokenFrom } from './node-token.ts';

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return isHoldfastError(error) ? error.code : undefined;
  }
  return undefined;
}

describe("a node's one-time token", () => {
  it.each([
    [{ body: '{"token":"abc-1"}' }],
    [{ body: ' {"token": " abc-1 "}\r\n' }],
    [{ body: 'token=abc-1' }],
    [{ body: 'host=x&token=abc%2D1' }],
    [{ body: 'abc-1\n' }],
    [{ query: 'abc-1' }],
    [{ query: 'abc-1', body: '' }],
    [{ authorization: 'Bearer abc-1' }],
    [{ authorization: 'bearer  abc-1 ', body: '{}' }],
    [{ query: 'abc-1', body: '{"token":5}' }],
  ])('is found in %j', (sources) => {
    expect(nodeTokenFrom(sources)).toBe('abc-1');
  });

  it.each([
    [{}],
    [{ body: '' }],
    [{ body: '{}' }],
    [{ body: '{"token":""}' }],
    [{ body: 'other=1' }],
    [{ query: ' ' }],
    [{ authorization: 'Basic abc' }],
  ])('is missing in %j', (sources) => {
    expect(codeOf(() => nodeTokenFrom(sources))).toBe('unauthenticated');
  });

  it('says that broken JSON is broken', () => {
    expect(codeOf(() => nodeTokenFrom({ body: '{"token":' }))).toBe('invalid_request');
  });

  it('comes out of every form as it went in', () => {
    const token = fc.stringMatching(/^[\w-]{8,64}$/);
    fc.assert(
      fc.property(token, (value) => {
        const bodies = [
          JSON.stringify({ token: value }),
          new URLSearchParams({ token: value }).toString(),
          value,
        ];
        for (const body of bodies) expect(nodeTokenFrom({ body })).toBe(value);
      }),
    );
  });
});
