import { z } from 'zod';
import { wireError } from '../wire-error.ts';

/** What the exporter is told, in its first line. Secrets come this way and no other. */
export const exporterStart = z.object({
  portal: z.object({ host: z.string(), port: z.number().int() }),
  target: z.string(),
  lun: z.number().int(),
  initiatorName: z.string(),
  chap: z.object({ username: z.string(), password: z.string() }).optional(),
  digests: z.boolean(),
  /** Hexadecimal. */
  fenceKey: z.string().regex(/^[0-9a-f]{16}$/),
  /** Hexadecimal. */
  isid: z.string().regex(/^[0-9a-f]{12}$/),
  stallMs: z.number().positive(),
  /** Path of the socket file of the NBD server. */
  socketPath: z.string(),
});
export type ExporterStart = z.output<typeof exporterStart>;

/** What the exporter tells: first `ready` or `failed`, later perhaps `lost`. */
export const exporterEvent = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('ready'),
    sizeBytes: z.number(),
    blockBytes: z.number(),
    isWriteProtected: z.boolean(),
    hasDataDigest: z.boolean(),
    signatures: z.array(z.object({ type: z.string(), offset: z.number() })),
  }),
  z.object({ event: z.literal('failed'), error: wireError }),
  z.object({ event: z.literal('lost'), error: wireError }),
]);
export type ExporterEvent = z.output<typeof exporterEvent>;
