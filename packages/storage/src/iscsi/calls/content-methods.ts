import { z } from 'zod';

/** Which volume a call is for, and for which hub. */
const volume = { volumeId: z.string(), ownerId: z.string() };
const sha256 = z.string();
const nothing = z.null();
const storedContent = z
  .object({ sha256, size: z.number(), storedAtMs: z.number() })
  .transform(({ storedAtMs, ...content }) => ({ ...content, storedAt: new Date(storedAtMs) }));

const uploadSpec = z.object({
  id: z.string(),
  size: z.number().nullable(),
  chunkSize: z.number().nullable(),
});
/** The files of a LUN need no state: their ids say it all. */
const upload = { ...volume, upload: uploadSpec };
const progress = { hashed: z.number() };

const method = <Params extends z.ZodType, Result extends z.ZodType>(
  params: Params,
  result: Result,
): { params: Params; result: Result } => ({ params, result });

/** The most entries of one answer, so that it fits into a frame. */
export const MAX_LISTED = 2000;

/**
 * The calls on the vault and the uploads of a mounted LUN. `receive`, `storeContent` and `storeContents` are fed with bytes;
 * `nextStaged` answers with bytes in place of JSON, none at the end.
 */
export const contentMethods = {
  createUpload: method(z.object(upload), nothing),
  resumeUpload: method(z.object(upload), nothing),
  listUploads: method(
    z.object({ ...volume, after: z.string(), limit: z.number() }),
    z.array(z.object({ id: z.string(), touchedAtMs: z.number() })),
  ),
  receive: method(
    z.object({
      ...upload,
      position: z.number(),
      length: z.number().optional(),
      limit: z.number().optional(),
      expectedSha256: sha256.optional(),
      keepPartial: z.boolean().optional(),
    }),
    z.object({ bytes: z.number(), sha256, complete: z.boolean(), ...progress }),
  ),
  prefixGrew: method(z.object({ ...upload, end: z.number() }), z.object(progress)),
  sealUpload: method(z.object({ ...upload, wholeSize: z.number() }), z.object({ sha256 })),
  publishUpload: method(
    z.object({ ...upload, sha256, wholeSize: z.number() }),
    z.object({ stored: z.boolean() }),
  ),
  discardUpload: method(z.object(upload), nothing),
  /** Lets go of descriptors; what was received stays. */
  releaseUpload: method(z.object(upload), nothing),
  streamStaged: method(z.object(upload), z.object({ streamId: z.number().int() })),
  nextStaged: method(z.object({ streamId: z.number().int() }), nothing),
  endStaged: method(z.object({ streamId: z.number().int() }), nothing),
  statContent: method(z.object({ ...volume, sha256 }), storedContent.nullable()),
  storeContent: method(
    z.object({ ...volume, expectedSha256: sha256.optional(), expectedSize: z.number().optional() }),
    z.object({ sha256, size: z.number(), stored: z.boolean() }),
  ),
  storeContents: method(
    z.object({ ...volume, contents: z.array(z.object({ sha256, size: z.number() })) }),
    z.array(z.union([z.object({ stored: z.boolean() }), z.object({ refused: z.unknown() })])),
  ),
  removeContent: method(z.object({ ...volume, sha256 }), z.boolean()),
  listContents: method(
    z.object({ ...volume, after: z.string().optional(), limit: z.number() }),
    z.object({ contents: z.array(storedContent), next: z.string().optional() }),
  ),
} as const;
