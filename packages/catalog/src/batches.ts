/** The items in lists of at most `size`, in order. Both databases limit the parameters of a statement. */
export function* batches<Item>(items: readonly Item[], size: number): Generator<Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
