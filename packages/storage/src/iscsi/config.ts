import { HoldfastError } from '@holdfast/contract/errors';
import { createHash } from 'node:crypto';
import { newFenceKey } from './initiator/fence.ts';
import { isidFor } from './initiator/isid.ts';
import type { ChapCredentials } from './initiator/chap.ts';
import type { ExporterStart } from './stack/exporter-messages.ts';

/** The configuration of an `iscsi` backend, with its secret in the clear. */
export interface IscsiConfig {
  /** IQN. */
  target: string;
  /** Name or address of the server. */
  portal: string;
  /** Default 3260. */
  port?: number | undefined;
  /** Default 0. */
  lun?: number | undefined;
  chap_enabled?: boolean | undefined;
  chap_username?: string | null | undefined;
  chap_password?: string | null | undefined;
  /** Default ext4. */
  filesystem?: 'ext4' | 'xfs' | undefined;
  /** Default auto. */
  mode?: 'auto' | 'kernel' | 'direct' | undefined;
  /** The name that the target knows this hub by. Default: made of the hub's id. */
  initiator_name?: string | null | undefined;
}

/** What goes with a configuration, given by the hub. */
export interface IscsiSurroundings {
  /** Marks what this hub stages and reserves. */
  ownerId: string;
  /** Absolute path of a folder for sockets and mount points; made, for its owner only. */
  stateDir: string;
  /** Milliseconds without progress after which the server counts as dead. Default 30,000. */
  stallMs?: number | undefined;
  /** Whether to ask the target for CRC32C digests. Default true. */
  digests?: boolean | undefined;
  logger?: IscsiLogger | undefined;
}

/** Where warnings go. */
export interface IscsiLogger {
  warn(fields: object, message: string): void;
}

export const DEFAULT_STALL_MS = 30_000;

// RFC 7143 §4.2.7: iqn.yyyy-mm.naming-authority[:rest], eui. and 16 digits, naa. and 16 or 32 digits.
const namePattern =
  /^(?:iqn\.\d{4}-\d{2}\.[a-z0-9.-]+(?::[^\s\0-\x20]*)?|eui\.[0-9A-Fa-f]{16}|naa\.(?:[0-9A-Fa-f]{16}){1,2})$/i;
const maxNameBytes = 223;

function refuse(field: string, message: string): never {
  throw new HoldfastError('validation_failed', `The field ${field} cannot be used: ${message}.`, {
    errors: [{ field: `config.${field}`, message }],
  });
}

function requireName(field: string, name: string): string {
  if (Buffer.byteLength(name) > maxNameBytes || !namePattern.test(name)) {
    refuse(
      field,
      'it must be an iSCSI name like iqn.2026-01.org.example:disks (or one that starts with eui. or naa.)',
    );
  }
  return name;
}

function chapOf(config: IscsiConfig): ChapCredentials | undefined {
  if (config.chap_enabled !== true) return undefined;
  const { chap_username: username, chap_password: password } = config;
  if (username === undefined || username === null || username === '')
    refuse('chap_username', 'CHAP needs a name');
  if (password === undefined || password === null || password === '')
    refuse('chap_password', 'CHAP needs a secret');
  if (/\p{Cc}/u.test(username)) refuse('chap_username', 'it must not have control characters');
  return { username, password };
}

/** The name by which a hub is known to targets when none is configured. */
export function defaultInitiatorName(ownerId: string): string {
  const name = ownerId.toLowerCase().replaceAll(/[^a-z0-9.:-]+/g, '-');
  return `iqn.2026-01.dev.holdfast:${name.slice(0, 120)}`;
}

/** What a login needs; everything but the purpose of the session. */
export interface ConnectionSettings {
  portal: { host: string; port: number };
  target: string;
  lun: number;
  initiatorName: string;
  chap?: ChapCredentials | undefined;
  digests: boolean;
}

/**
 * Reads a configuration.
 * @throws HoldfastError `validation_failed` with the field at fault
 */
export function connectionSettings(
  config: IscsiConfig,
  { ownerId, digests = true }: Pick<IscsiSurroundings, 'ownerId' | 'digests'>,
): ConnectionSettings {
  const { port = 3260, lun = 0 } = config;
  const host = config.portal.trim().replace(/^\[(.*)\]$/, '$1');
  if (host === '' || /[\s/\0]/.test(host))
    refuse('portal', 'it must be the name or the address of a server, without a port');
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    refuse('port', 'it must be a whole number from 1 to 65535');
  if (!Number.isInteger(lun) || lun < 0 || lun > 16_383)
    refuse('lun', 'it must be a whole number from 0 to 16383');
  const named = config.initiator_name ?? '';
  const chap = chapOf(config);
  return {
    portal: { host, port },
    target: requireName('target', config.target),
    lun,
    initiatorName: named === '' ? defaultInitiatorName(ownerId) : requireName('initiator_name', named),
    ...(chap === undefined ? {} : { chap }),
    digests,
  };
}

/** The same text for the same LUN, whatever way leads there. */
export function lunKey({ target, lun }: Pick<ConnectionSettings, 'target' | 'lun'>): string {
  return createHash('sha256').update(`${target.toLowerCase()} ${lun}`).digest('hex').slice(0, 16);
}

/** What the initiator of a mounted LUN is started with. */
export function mountConnection(
  settings: ConnectionSettings,
  surroundings: Pick<IscsiSurroundings, 'ownerId' | 'stallMs'>,
): Omit<ExporterStart, 'socketPath'> {
  const { ownerId, stallMs = DEFAULT_STALL_MS } = surroundings;
  return {
    ...settings,
    fenceKey: newFenceKey(ownerId).toString('hex'),
    // The same for every start: a new session takes the place of one that a crash has left (RFC 7143 §6.3.5).
    isid: isidFor(`${ownerId} ${lunKey(settings)}`).toString('hex'),
    stallMs,
  };
}
