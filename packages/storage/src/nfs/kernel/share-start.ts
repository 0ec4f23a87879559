import { z } from 'zod';

/** What the process that mounts a share is told. */
export const shareStart = z.object({
  /** See `NfsSettings`. */
  settings: z.object({
    server: z.string(),
    exportPath: z.string(),
    mountOptions: z.array(z.string()),
    version: z.enum(['4.1', '3']),
    kernelVersion: z.string(),
    port: z.number().int(),
  }),
  /** A folder to mount on, in a namespace of the process's own. */
  mountPoint: z.string(),
  /** Milliseconds for mounting, and without a sign of life of the server. */
  timeLimitMs: z.number().positive(),
});
export type ShareStart = z.output<typeof shareStart>;
