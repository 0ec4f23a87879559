import { parseBackendPath } from '@holdfast/bytes/backend-path';
import { z } from 'zod';
import type { StorageEntry } from '../../backend.ts';
import { contentMethods } from './content-methods.ts';

const path = z.string().transform((text) => parseBackendPath(text));
const fileId = z.number().int();

/** An entry as it goes between the processes: times as milliseconds. */
export const wireEntry = z
  .object({
    name: z.string(),
    path,
    type: z.enum(['file', 'directory']),
    size: z.number(),
    modifiedAtMs: z.number(),
    validator: z.string(),
  })
  .transform(({ modifiedAtMs, ...entry }): StorageEntry => ({
    ...entry,
    modifiedAt: new Date(modifiedAtMs),
  }));

export function toWireEntry({ modifiedAt, ...entry }: StorageEntry): z.input<typeof wireEntry> {
  return { ...entry, modifiedAtMs: modifiedAt.getTime() };
}

const writeResult = z.object({ entry: wireEntry, sha256: z.string(), replaced: z.boolean() });
const usage = z.object({ usedBytes: z.number(), totalBytes: z.number() });
const check = z.object({ name: z.string(), ok: z.boolean(), message: z.string() });
const nothing = z.null();

/** Which volume a call is for, and for which hub. */
const volume = { volumeId: z.string(), ownerId: z.string() };
const method = <Params extends z.ZodType, Result extends z.ZodType>(
  params: Params,
  result: Result,
): { params: Params; result: Result } => ({ params, result });

/**
 * The calls that the hub makes on the process that holds a mount: `start` first, with what is to be mounted as the
 * process knows to read it, then the operations of a backend on its files. `read` answers with bytes in place of JSON; `write` is fed with bytes.
 */
export const methods = {
  start: method(z.unknown(), nothing),
  prepare: method(z.object({}), z.object({ volumeId: z.string() })),
  probe: method(
    z.object({ ...volume }),
    z.object({ ok: z.boolean(), checks: z.array(check), latencyMs: z.number() }),
  ),
  stat: method(z.object({ ...volume, path }), wireEntry),
  list: method(
    z.object({
      ...volume,
      path,
      recursive: z.boolean().optional(),
      // JSON has no NaN and sends null for it; it is refused where every other number is.
      limit: z
        .number()
        .or(z.null().transform(() => Number.NaN))
        .optional(),
      cursor: z.string().optional(),
    }),
    z.object({
      entries: z.array(wireEntry),
      nextCursor: z.string().optional(),
      total: z.number().optional(),
    }),
  ),
  open: method(z.object({ ...volume, path }), z.object({ fileId, entry: wireEntry })),
  openContent: method(z.object({ ...volume, sha256: z.string() }), z.object({ fileId, entry: wireEntry })),
  read: method(z.object({ fileId, position: z.number(), length: z.number() }), nothing),
  revalidate: method(z.object({ fileId }), wireEntry),
  close: method(z.object({ fileId }), nothing),
  write: method(
    z.object({
      ...volume,
      path,
      expectedSha256: z.string().optional(),
      expectedSize: z.number().optional(),
      ifAbsent: z.boolean().optional(),
      /** Whether the caller wants to be asked before the bytes are published. */
      asks: z.boolean(),
    }),
    writeResult,
  ),
  remove: method(z.object({ ...volume, path, recursive: z.boolean().optional() }), z.number()),
  move: method(z.object({ ...volume, from: path, to: path, overwrite: z.boolean().optional() }), wireEntry),
  copy: method(
    z.object({
      ...volume,
      from: path,
      to: path,
      overwrite: z.boolean().optional(),
      expectedSha256: z.string().optional(),
    }),
    writeResult,
  ),
  makeFolder: method(z.object({ ...volume, path }), wireEntry),
  usage: method(z.object({ ...volume }), usage),
  countChildren: method(z.object({ ...volume, path }), z.number()),
  sweep: method(z.object({ ...volume }), z.object({ removed: z.number(), bytes: z.number() })),
  ...contentMethods,
} as const;

export type Methods = typeof methods;
export type MethodName = keyof Methods;
export type ParamsOf<Name extends MethodName> = z.output<Methods[Name]['params']>;
export type ResultOf<Name extends MethodName> = z.output<Methods[Name]['result']>;

export const callPayload = z.object({ method: z.string().refine(isMethod), params: z.unknown() });
export const askPayload = wireEntry.nullable();
export const answerPayload = z.object({ go: z.boolean() });
export const creditPayload = z.object({ bytes: z.number() });

function isMethod(name: string): name is MethodName {
  return Object.hasOwn(methods, name);
}
