import { z } from 'zod';
import { count, queryInteger } from './fields.ts';

/** The answer that carries one thing. */
export function success<Data extends z.ZodType>(data: Data) {
  return z.object({
    success: z.literal(true),
    data,
    message: z.string().optional().describe('A remark for a person.'),
  });
}

/** The answer that carries a whole list. */
export function wholeList<Item extends z.ZodType>(item: Item) {
  return z.object({ success: z.literal(true), data: z.array(item), total: count });
}

/** The answer that carries one page of a list. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return wholeList(item).extend({
    total: count.describe('All entries of the list, not only of this page.'),
    next_cursor: z.string().optional().describe('Present when there is more: send it as `cursor`.'),
  });
}

/** Which page of a list: `limit` 1–1000 (default 100) and the `next_cursor` of the page before. */
export const pageQuery = z.object({
  limit: queryInteger(1, 1000).default(100).describe('Entries in one page.'),
  cursor: z.string().min(1).max(8192).optional().describe('`next_cursor` of the page before.'),
});
export type PageQuery = z.output<typeof pageQuery>;
