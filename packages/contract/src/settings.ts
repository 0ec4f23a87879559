import { z } from 'zod';
import { defineEndpoint } from './endpoint.ts';
import { success } from './envelope.ts';
import { id } from './fields.ts';

const tag = 'Settings';
const path = '/api/v1/system/settings';

/** A network in CIDR form (RFC 4632 §3.1, RFC 4291 §2.3), IPv4 or IPv6. */
export const network = z.union([z.cidrv4(), z.cidrv6()], {
  error: 'must be a network in CIDR form such as 10.0.0.0/8 or fd00::/8; one address is 10.0.0.5/32',
});

/**
 * All private, loopback and link-local networks of both families: RFC 1918, RFC 4193 (private),
 * RFC 1122 §3.2.1.3, RFC 4291 §2.5.3 (loopback), RFC 3927, RFC 4291 §2.5.6 (link-local).
 */
export const privateNetworks = [
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '127.0.0.0/8',
  '169.254.0.0/16',
  'fc00::/7',
  '::1/128',
  'fe80::/10',
] as const;

export const settings = z
  .object({
    default_boot_backend_id: id
      .nullable()
      .default(null)
      .describe('The backend whose files machines boot from.'),
    default_ingest_backend_id: id
      .nullable()
      .default(null)
      .describe('The backend that takes in what names none.'),
    anonymous_boot_networks: z
      .array(network)
      .max(256)
      .default([...privateNetworks])
      .describe('From where boot paths are read without a credential. An empty list switches that off.'),
    file_serving_bandwidth_mbps: z
      .number()
      .min(1)
      .max(100_000)
      .default(1000)
      .describe(
        'Megabits a second for everything that leaves the hub towards machines, over HTTP and TFTP together.',
      ),
    min_transfer_mbps: z
      .number()
      .min(0)
      .max(100_000)
      .default(1)
      .describe(
        'Megabits a second that each transfer gets at least, unless all of them together exceed the bandwidth.',
      ),
    per_client_mbps: z
      .number()
      .min(1)
      .max(100_000)
      .nullable()
      .default(null)
      .describe(
        'Megabits a second that one client gets at most over all its transfers; null: no such limit.',
      ),
    busy_above_transfers: z
      .int()
      .min(1)
      .max(100_000)
      .default(1000)
      .describe(
        'With so many transfers under way, iPXE is told to come back later; other firmware only gets slower.',
      ),
    upload_session_ttl_seconds: z
      .int()
      .min(60)
      .max(30 * 24 * 3600)
      .default(3600)
      .describe('An upload to which nothing comes for so long expires, and its bytes are removed.'),
    deleted_file_retention_days: z
      .int()
      .min(0)
      .max(3650)
      .default(30)
      .describe('Days for which a deleted host file can be restored.'),
    operation_retention_days: z
      .int()
      .min(1)
      .max(3650)
      .default(90)
      .describe('Days for which the operation log is kept.'),
  })
  .meta({ id: 'Settings' });
export type Settings = z.output<typeof settings>;

/** The settings of a hub where nothing was changed. */
export function defaultSettings(): Settings {
  return settings.parse({});
}

const fields = settings.shape;

/** Only the named settings change; null clears a backend. */
export const settingsPatch = z
  .strictObject({
    default_boot_backend_id: fields.default_boot_backend_id.unwrap().optional(),
    default_ingest_backend_id: fields.default_ingest_backend_id.unwrap().optional(),
    anonymous_boot_networks: fields.anonymous_boot_networks.unwrap().optional(),
    file_serving_bandwidth_mbps: fields.file_serving_bandwidth_mbps.unwrap().optional(),
    min_transfer_mbps: fields.min_transfer_mbps.unwrap().optional(),
    per_client_mbps: fields.per_client_mbps.unwrap().optional(),
    busy_above_transfers: fields.busy_above_transfers.unwrap().optional(),
    upload_session_ttl_seconds: fields.upload_session_ttl_seconds.unwrap().optional(),
    deleted_file_retention_days: fields.deleted_file_retention_days.unwrap().optional(),
    operation_retention_days: fields.operation_retention_days.unwrap().optional(),
  })
  .meta({ id: 'SettingsPatch' });
export type SettingsPatch = z.output<typeof settingsPatch>;

export const settingsEndpoints = {
  getSettings: defineEndpoint({
    method: 'GET',
    path,
    access: 'authenticated',
    tag,
    summary: 'Show the settings',
    response: success(settings),
    status: [200],
  }),
  updateSettings: defineEndpoint({
    method: 'PATCH',
    path,
    access: 'settings:write',
    tag,
    summary: 'Change settings',
    description:
      'Takes effect at once. A backend that does not exist is refused with `validation_failed`; null clears it.',
    body: settingsPatch,
    response: success(settings),
    status: [200],
  }),
};
