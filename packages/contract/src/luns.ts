import { z } from 'zod';
import { iscsiConfig } from './backends.ts';
import { defineEndpoint } from './endpoint.ts';
import { success } from './envelope.ts';
import { byteCount, id, idParams, pathText, sha256 } from './fields.ts';
import { operation } from './operations.ts';

const { target, portal, port, lun, chap_enabled, chap_username, chap_password, initiator_name } =
  iscsiConfig.shape;

export const iscsiTargets = z
  .object({ targets: z.array(z.object({ target: z.string(), portals: z.array(z.string()) })) })
  .meta({ id: 'IscsiTargets' });

/** How a target is reached. */
const access = { portal, port, chap_enabled, chap_username, chap_password, initiator_name };

export const iscsiDiscovery = z.strictObject(access).meta({ id: 'IscsiDiscovery' });
export type IscsiDiscovery = z.output<typeof iscsiDiscovery>;

export const bootLunRequest = z
  .strictObject({
    ...access,
    target,
    lun,
    backend_id: id.optional().describe('Where the image is. Default: the boot backend.'),
    image_path: pathText.describe('The image of a disk.'),
    overwrite: z.boolean().default(false).describe('Also when the LUN carries something.'),
  })
  .meta({ id: 'BootLunRequest' });
export type BootLunRequest = z.output<typeof bootLunRequest>;

/** The `details` of a `sync` operation that was started by `writeBootLun`. */
export const bootLunReport = z
  .object({
    kind: z.literal('boot_lun'),
    node_id: id,
    target: z.string(),
    lun: z.int(),
    bytes_total: byteCount,
    bytes_written: byteCount,
    bytes_verified: byteCount,
    sha256: sha256.nullable().describe('Of the bytes that were read back from the LUN.'),
    sanboot_uri: z.string().nullable().describe('What the node boots from now.'),
  })
  .meta({ id: 'BootLunReport' });
export type BootLunReport = z.output<typeof bootLunReport>;

export const lunEndpoints = {
  discoverIscsiTargets: defineEndpoint({
    method: 'POST',
    path: '/api/v1/storage/iscsi/discover',
    access: 'backends:write',
    tag: 'Storage backends',
    summary: 'List the targets that an iSCSI server shows',
    body: iscsiDiscovery,
    response: success(iscsiTargets),
    status: [200],
    errors: ['backend_unavailable'],
  }),
  writeBootLun: defineEndpoint({
    method: 'POST',
    path: '/api/v1/nodes/{id}/boot-lun',
    access: 'boot:write',
    tag: 'Nodes',
    summary: 'Write an image to a raw LUN and boot the node from it',
    description:
      'Answers at once with the operation; its `details` become a BootLunReport. The image is written, read back and ' +
      'compared; then the node gets a workflow that boots the LUN by `sanboot`. A LUN that carries any signature is ' +
      'refused unless `overwrite` is set, one that is too small always.',
    params: idParams,
    body: bootLunRequest,
    response: success(operation),
    status: [202],
    errors: ['node_not_found', 'backend_not_found', 'no_boot_backend', 'file_not_found', 'invalid_path'],
  }),
};
