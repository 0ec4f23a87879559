import { z } from 'zod';

const server = z.string();

/**
 * What tests in a guest ask of the machine that the guest runs on: to start real servers, to break them, and to look at
 * their files behind their back. `path` is below the folder that the server exports.
 */
export const guestCall = z.discriminatedUnion('call', [
  z.object({
    call: z.literal('startGanesha'),
    protocols: z.enum(['3', '4']),
    accessType: z.enum(['RW', 'RO']).optional(),
    graceSeconds: z.number().optional(),
    leaseSeconds: z.number().optional(),
  }),
  z.object({
    call: z.literal('startTgt'),
    sizeMiB: z.number(),
    chap: z.object({ username: z.string(), password: z.string() }),
    parameters: z.record(z.string(), z.string()),
  }),
  z.object({ call: z.enum(['kill', 'restart', 'freeze', 'thaw']), server }),
  /** Ends it for good and removes its files. */
  z.object({ call: z.literal('stop'), server }),
  z.object({ call: z.literal('addLun'), server, lun: z.number(), sizeMiB: z.number() }),
  z.object({ call: z.literal('administerTgt'), server, args: z.array(z.string()) }),
  z.object({ call: z.literal('plantSymlink'), server, path: z.string(), target: z.string() }),
  /** Replaces the bytes of a file in place. */
  z.object({ call: z.literal('tamper'), server, path: z.string(), base64: z.string() }),
  /** Writes many small files into a folder, which is made. */
  z.object({ call: z.literal('seed'), server, path: z.string(), names: z.array(z.string()) }),
  z.object({ call: z.literal('list'), server, path: z.string() }),
  z.object({ call: z.literal('digest'), server, path: z.string() }),
  /** Puts another folder with the same files in the place of the exported one, while the server is down. */
  z.object({ call: z.literal('renew'), server }),
]);
export type GuestCall = z.input<typeof guestCall>;

/** What `startGanesha` answers. */
export const startedGanesha = z.object({
  server,
  host: z.string(),
  port: z.number(),
  mountPort: z.number(),
  exportPath: z.string(),
});

/** What `startTgt` answers. */
export const startedTgt = z.object({
  server,
  host: z.string(),
  port: z.number(),
  target: z.string(),
  lun: z.number(),
});

/** What `administerTgt` answers: what tgtadm has printed. */
export const printed = z.object({ text: z.string() });
/** What `list` answers. */
export const listed = z.object({ names: z.array(z.string()) });

/** What `digest` answers: lower-case hex SHA-256. */
export const digested = z.object({ sha256: z.string() });

/** The variable by which tests in a guest are told the URL to call. */
export const guestCallsVariable = 'HOLDFAST_GUEST_CALLS';
/** This machine's loopback, as a guest sees it. */
export const hostInGuest = '10.0.2.2';
