import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TagHeap } from './tag-heap.ts';

interface Item {
  tag: number;
  order: number;
  place: number;
}

const byTag = (a: Item, b: Item): number => a.tag - b.tag || a.order - b.order;

test('the smallest tag is first after any additions, changes and removals; equal tags keep their order', () => {
  const step = fc.record({
    kind: fc.constantFrom('push', 'push', 'remove', 'update', 'pop'),
    tag: fc.nat({ max: 20 }),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const heap = new TagHeap<Item>();
      let inside: Item[] = [];
      for (const [order, { kind, tag, pick }] of steps.entries()) {
        const picked = kind === 'pop' ? heap.peek() : inside[pick % Math.max(1, inside.length)];
        if (kind === 'push') {
          const item = { tag, order, place: -1 };
          heap.push(item);
          inside.push(item);
        } else if (picked !== undefined && kind === 'update') {
          picked.tag = tag;
          heap.update(picked);
        } else if (picked !== undefined) {
          heap.remove(picked);
          inside = inside.filter((item) => item !== picked);
          expect(heap.has(picked)).toBe(false);
        }
        expect(heap.peek()).toBe(inside.toSorted(byTag)[0]);
        expect(heap.size).toBe(inside.length);
        expect(inside.every((item) => heap.has(item))).toBe(true);
      }
    }),
  );
});

test('an item of another heap is not in this one', () => {
  const [one, other] = [new TagHeap<Item>(), new TagHeap<Item>()];
  const item = { tag: 1, order: 1, place: -1 };
  one.push(item);
  other.push({ tag: 1, order: 2, place: -1 });
  expect(one.has(item)).toBe(true);
  expect(other.has(item)).toBe(false);
});
