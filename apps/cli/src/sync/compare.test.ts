import fc from 'fast-check';
import { expect, test } from 'vitest';
import { actionFor, difference, paired } from './compare.ts';
import type { CompareRules } from './compare.ts';
import type { SyncFile } from './entry.ts';
import { requireSaneRemoval } from './guard.ts';
import { byCodePoints, byCodeUnits } from './order.ts';
import type { PathOrder } from './order.ts';

interface Content {
  bytes: string;
  mtimeMs: number;
  mode: number;
}
type Tree = ReadonlyMap<string, Content>;

const segment = fc.constantFrom(
  'a',
  'b',
  'a-b',
  'a b',
  '\u00E9',
  'e\u0301',
  '\u{1F600}',
  '\uFF21',
  '-',
  '\n',
);
const path = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const content = fc.record({
  bytes: fc.constantFrom('', 'x', 'y', 'xy'),
  mtimeMs: fc.constantFrom(1000, 2000),
  mode: fc.constantFrom(0o644, 0o755),
});
const tree: fc.Arbitrary<Tree> = fc
  .uniqueArray(fc.tuple(path, content), { selector: ([name]) => name })
  .map((all) => new Map(all));
const order = fc.constantFrom<PathOrder>(byCodeUnits, byCodePoints);

function file(name: string, { bytes, mtimeMs, mode }: Content): SyncFile {
  return { path: name, size: bytes.length, mtimeMs, mode, sha256: bytes, stamp: null };
}

async function* listed(from: Tree, by: PathOrder): AsyncGenerator<SyncFile> {
  for (const [name, one] of [...from].toSorted(([a], [b]) => by(a, b))) yield file(name, one);
}

function rules(keepsTimes: boolean, byChecksum: boolean): CompareRules {
  return { keepsTimes, byChecksum, sha256Of: (one) => Promise.resolve(one.sha256) };
}

/** Applies the plan to the destination. */
async function synced(
  source: Tree,
  destination: Tree,
  by: PathOrder,
  compare: CompareRules,
  remove: boolean,
) {
  const after = new Map(destination);
  let actions = 0;
  for await (const pair of paired(listed(source, by), listed(destination, by), by)) {
    const action = await actionFor(pair, compare);
    if (action === null || (action.kind === 'remove' && !remove)) continue;
    actions += 1;
    const { path: name } = action.file;
    const wanted = source.get(name);
    if (action.kind === 'remove' || wanted === undefined) after.delete(name);
    else if (action.kind === 'touch') after.set(name, { ...wanted, bytes: after.get(name)?.bytes ?? '' });
    else after.set(name, wanted);
  }
  return { after, actions };
}

test('a plan by SHA-256 that is carried out makes the destination equal to the source, and then there is nothing to do', async () => {
  await fc.assert(
    fc.asyncProperty(tree, tree, order, async (source, destination, by) => {
      const { after } = await synced(source, destination, by, rules(true, true), true);
      expect(after).toEqual(new Map(source));
      expect((await synced(source, after, by, rules(true, false), true)).actions).toBe(0);
    }),
  );
});

test('where times are not kept the bytes become equal, and then there is nothing to do', async () => {
  const bytes = (of: Tree): Map<string, string> => new Map([...of].map(([name, one]) => [name, one.bytes]));
  await fc.assert(
    fc.asyncProperty(tree, tree, order, async (source, destination, by) => {
      const { after } = await synced(source, destination, by, rules(false, false), true);
      expect(bytes(after)).toEqual(bytes(source));
      expect((await synced(source, after, by, rules(false, false), true)).actions).toBe(0);
    }),
  );
});

test('without removal the destination keeps all that the source does not have', async () => {
  await fc.assert(
    fc.asyncProperty(tree, tree, order, async (source, destination, by) => {
      const { after } = await synced(source, destination, by, rules(true, true), false);
      expect(after).toEqual(new Map([...destination, ...source]));
    }),
  );
});

test('a listing out of order is refused', async () => {
  async function* wrong(): AsyncGenerator<SyncFile> {
    yield* ['b', 'a'].map((name) => file(name, { bytes: '', mtimeMs: 0, mode: 0 }));
  }
  await expect(Array.fromAsync(paired(wrong(), listed(new Map(), byCodeUnits), byCodeUnits))).rejects.toThrow(
    'order',
  );
});

test('code points are ordered as the bytes of UTF-8 are', () => {
  const text = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(byCodePoints(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
  );
});

test('an unknown SHA-256 is no proof: the file is transferred', async () => {
  const one = file('a', { bytes: 'x', mtimeMs: 1, mode: 0o644 });
  const unknown = { ...one, sha256: null };
  expect(await difference(one, unknown, rules(false, false))).toBe('replace');
  expect(await difference(unknown, unknown, rules(false, false))).toBe('replace');
  expect(await difference(one, unknown, rules(true, false))).toBeNull();
});

test('the guard lets half of the destination go and not more', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), (kept, removals) => {
      const plan = { sourceFiles: 1, destinationFiles: kept + removals, removals };
      const check = (): void => requireSaneRemoval(plan, undefined);
      if (removals > kept) expect(check).toThrow('more than half');
      else expect(check).not.toThrow();
      expect(() => requireSaneRemoval(plan, removals)).not.toThrow();
    }),
  );
});
