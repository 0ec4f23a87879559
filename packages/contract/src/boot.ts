import { z } from 'zod';
import { defineEndpoint, rawBody } from './endpoint.ts';
import { macInput } from './mac.ts';

const tag = 'Booting';

/**
 * What a machine says about itself. Never refused, since a machine with an odd serial number has to boot too:
 * control characters are dropped, more than 200 characters are cut, nothing becomes undefined.
 */
export const machineText = z
  .string()
  .transform((text) => {
    const clean = text
      .toWellFormed()
      .replace(/\p{Cc}|\p{Zl}|\p{Zp}/gu, '')
      .trim();
    return Array.from(clean).slice(0, 200).join('').trim() || undefined;
  })
  .pipe(z.string().optional())
  .optional();

export const bootQuery = z.object({
  mac: macInput.describe('The MAC address that the machine boots from.'),
  uuid: machineText,
  serial: machineText,
  vendor: machineText,
  model: machineText,
  arch: machineText.describe('The architecture of the processor, as iPXE names it.'),
});
export type BootQuery = z.output<typeof bootQuery>;

export const bootStatusQuery = z.object({ mac: macInput });

export const grubQuery = z.object({
  mac: macInput.optional().describe('Without it: the configuration that asks again with the MAC address.'),
});

const interfaceName = z
  .string()
  .regex(/^[\w.@-]{1,15}$/, 'must be the name of a network interface such as eth0');

export const dnsmasqQuery = z.object({
  interface: interfaceName.optional().describe('Where dnsmasq listens. Default: everywhere.'),
  range: z
    .string()
    .regex(/^[0-9a-fA-F.:]+(,[0-9a-fA-F.:]+)?$/, 'must be a network (proxy) or first,last address (server)')
    .optional()
    .describe(
      'One network address: answers beside an existing DHCP server. Two addresses: hands out those between.',
    )
    .meta({ examples: ['192.168.1.0', '192.168.1.100,192.168.1.200'] }),
});

const ipxeText = rawBody(['text/plain'], 'An iPXE script.');

export const bootEndpoints = {
  getBootFile: defineEndpoint({
    method: 'GET',
    path: '/api/v1/files/{path*}',
    access: 'boot',
    tag,
    summary: 'Fetch a boot file',
    description:
      'From the boot backend. `Content-Length` is always exact, never chunked, never a redirect. `ETag`, ' +
      '`X-Checksum-SHA256`, `Repr-Digest` and `Digest` carry the SHA-256; conditions are taken in the order of ' +
      'RFC 9110 §13.2.2. Several ranges are answered as `multipart/byteranges`. HEAD answers the same without the body.',
    params: z.object({
      path: z.string().min(1).describe('The path on the boot backend; slashes belong to it.'),
    }),
    headers: {
      range: 'Which bytes (RFC 9110 §14).',
      'if-match': 'ETags, one of which the file must have.',
      'if-none-match': 'ETags that the caller has.',
      'if-modified-since': 'A date, when there is no `If-None-Match`.',
      'if-range': 'An ETag; when it does not match, the whole file is sent.',
    },
    response: rawBody(['application/octet-stream'], 'The bytes of the file, or of the range.'),
    status: [200, 206, 304],
    errors: [
      'no_boot_backend',
      'backend_unavailable',
      'wrong_volume',
      'file_not_found',
      'is_a_directory',
      'invalid_path',
      'precondition_failed',
      'range_not_satisfiable',
    ],
  }),
  getFirstScript: defineEndpoint({
    method: 'GET',
    path: '/api/v1/ipxe/boot.ipxe',
    access: 'boot',
    tag,
    summary: 'The first iPXE script',
    description:
      'What a DHCP server names as boot file. It asks for the script of the machine until it gets one.',
    response: ipxeText,
    status: [200],
  }),
  getBootScript: defineEndpoint({
    method: 'GET',
    path: '/api/v1/boot',
    access: 'boot',
    tag,
    summary: 'The iPXE script of a machine',
    description: 'An unknown machine is registered as `discovered` and told to boot its disk.',
    query: bootQuery,
    response: ipxeText,
    status: [200],
  }),
  getBootStatus: defineEndpoint({
    method: 'GET',
    path: '/api/v1/boot/status',
    access: 'boot',
    tag,
    summary: 'The iPXE script that a waiting machine polls',
    description: 'It ends at once while the machine has to wait, and fetches the machine’s script otherwise.',
    query: bootStatusQuery,
    response: ipxeText,
    status: [200],
  }),
  getDnsmasqConfig: defineEndpoint({
    method: 'GET',
    path: '/api/v1/boot/dnsmasq.conf',
    access: 'boot',
    tag,
    summary: 'A dnsmasq configuration that sends machines here',
    description: 'Beside an existing DHCP server (proxy) or as the DHCP server of a network of its own.',
    query: dnsmasqQuery,
    response: rawBody(['text/plain'], 'A dnsmasq configuration.'),
    status: [200],
  }),
  getGrubConfig: defineEndpoint({
    method: 'GET',
    path: '/api/v1/boot/grub',
    access: 'boot',
    tag,
    summary: 'The GRUB configuration of a machine',
    query: grubQuery,
    response: rawBody(['text/plain'], 'A GRUB configuration.'),
    status: [200],
  }),
};
