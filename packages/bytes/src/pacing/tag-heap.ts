/** Something that waits in a TagHeap. It is in one heap at most. */
export interface Tagged {
  /** The smallest goes first. Change it only outside a heap, or call `update` afterwards. */
  tag: number;
  /** Among equal tags the smallest goes first. */
  order: number;
  /** Where it stands in its heap, -1 outside; only the heap changes it. */
  place: number;
}

/** A binary heap that knows where its items stand, so that any of them can be moved or removed in O(log n). */
export class TagHeap<T extends Tagged> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The item with the smallest tag. */
  peek(): T | undefined {
    return this.#items[0];
  }

  has(item: T): boolean {
    return this.#items[item.place] === item;
  }

  /** Adds an item that is in no heap. */
  push(item: T): void {
    item.place = this.#items.length;
    this.#items.push(item);
    this.#rise(item);
  }

  /** Puts an item of this heap in its right place after its tag or order changed. */
  update(item: T): void {
    this.#rise(item);
    this.#sink(item);
  }

  /** Removes an item of this heap. */
  remove(item: T): void {
    const place = item.place;
    const last = this.#items.pop();
    item.place = -1;
    if (last === undefined || last === item) return;
    this.#set(last, place);
    this.update(last);
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }

  #set(item: T, place: number): void {
    this.#items[place] = item;
    item.place = place;
  }

  #rise(item: T): void {
    while (item.place > 0) {
      const place = item.place;
      const parent = this.#items[(place - 1) >> 1];
      if (parent === undefined || !goesFirst(item, parent)) return;
      const above = parent.place;
      this.#set(parent, place);
      this.#set(item, above);
    }
  }

  #sink(item: T): void {
    for (;;) {
      const place = item.place;
      const left = this.#items[2 * place + 1];
      if (left === undefined) return;
      const right = this.#items[2 * place + 2];
      const child = right !== undefined && goesFirst(right, left) ? right : left;
      if (!goesFirst(child, item)) return;
      const below = child.place;
      this.#set(child, place);
      this.#set(item, below);
    }
  }
}

function goesFirst(a: Tagged, b: Tagged): boolean {
  return a.tag < b.tag || (a.tag === b.tag && a.order < b.order);
}
