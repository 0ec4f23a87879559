/** What the hub remembers about itself: plain strings by key. */
export interface MetaTable {
  key: string;
  value: string;
}
