import { parseServer } from './server-address.ts';

export interface DnsmasqInput {
  /** The hub as machines reach it: `http://host:port`, without a trailing slash. */
  server: string;
  /** Where the hub answers TFTP; null when it does not. */
  tftp: { host: string; port: number } | null;
  /** Where dnsmasq listens; undefined: everywhere. */
  interface?: string | undefined;
  /** A network address for answers beside a DHCP server, or `first,last` to be the DHCP server. */
  range?: string | undefined;
}

/**
 * A dnsmasq configuration that sends each kind of machine to the hub: UEFI HTTP Boot (architecture 16 of RFC 5970 and
 * IANA's registry) straight to iPXE by HTTP where dnsmasq is the DHCP server, PXE by BIOS (0) and UEFI (7, 9) to iPXE
 * by TFTP, and whoever is iPXE already (it sends option 175) to the first script.
 *
 * @throws HoldfastError `invalid_request` for a server that is not `http(s)://host[:port]`.
 */
export function dnsmasqConfig(input: DnsmasqInput): string {
  const server = parseServer(input.server).url;
  const isProxy = input.range === undefined || !input.range.includes(',');
  const lines = [
    '# Holdfast: dnsmasq sends machines that boot from the network to the hub.',
    '# Put it into /etc/dnsmasq.d/, and restart dnsmasq.',
    '# It switches the DNS of dnsmasq off: take this line out where dnsmasq serves names, too.',
    'port=0',
    'log-dhcp',
    ...(input.interface === undefined ? [] : [`interface=${input.interface}`, 'bind-interfaces']),
    ...rangeLines(input.range),
    '',
    '# iPXE tells by option 175 that it is iPXE: it gets the script.',
    'dhcp-match=set:ipxe,175',
    'dhcp-match=set:bios,option:client-arch,0',
    'dhcp-match=set:efi64,option:client-arch,7',
    'dhcp-match=set:efi64,option:client-arch,9',
    ...(isProxy ? [] : ['dhcp-match=set:efihttp,option:client-arch,16']),
    `dhcp-boot=tag:ipxe,${server}/api/v1/ipxe/boot.ipxe`,
    '',
    ...httpBootLines(`${server}/api/v1/files/ipxe.efi`, isProxy),
    '',
    ...tftpLines(input.tftp, isProxy),
  ];
  return `${lines.join('\n')}\n`;
}

function rangeLines(range: string | undefined): string[] {
  if (range === undefined) {
    return [
      '# Replace it by your network; "proxy" leaves addresses to the DHCP server that is there.',
      'dhcp-range=192.168.0.0,proxy',
    ];
  }
  return [range.includes(',') ? `dhcp-range=${range},12h` : `dhcp-range=${range},proxy`];
}

/** As a proxy dnsmasq answers PXE clients alone (2.90 leaves a DHCPDISCOVER of class HTTPClient without an answer). */
function httpBootLines(url: string, isProxy: boolean): string[] {
  if (isProxy) {
    return [
      '# dnsmasq does not answer UEFI HTTP Boot beside another DHCP server. Let that one send, to vendor class',
      `# HTTPClient: option 60 "HTTPClient", and option 67 ${url}`,
    ];
  }
  return [
    '# UEFI HTTP Boot needs the answer "HTTPClient" to its vendor class.',
    'dhcp-option-force=tag:efihttp,60,HTTPClient',
    `dhcp-boot=tag:efihttp,tag:!ipxe,${url}`,
  ];
}

function tftpLines(tftp: DnsmasqInput['tftp'], isProxy: boolean): string[] {
  if (tftp === null) {
    return [
      '# The hub does not answer TFTP: set HOLDFAST_TFTP_PORT=69 for machines that are not iPXE and have no HTTP Boot.',
    ];
  }
  if (tftp.port !== 69) {
    return [
      `# The hub answers TFTP on port ${tftp.port}; firmware asks port 69 only. Set HOLDFAST_TFTP_PORT=69.`,
    ];
  }
  const { host } = tftp;
  const boot = [
    '# All others fetch iPXE by TFTP first.',
    `dhcp-boot=tag:bios,tag:!ipxe,undionly.kpxe,,${host}`,
    `dhcp-boot=tag:efi64,tag:!ipxe,ipxe.efi,,${host}`,
  ];
  // PXE firmware beside another DHCP server takes its boot file from the PXE service, not from dhcp-boot.
  const service = [
    `pxe-service=tag:!ipxe,X86PC,"Holdfast",undionly.kpxe,${host}`,
    `pxe-service=tag:!ipxe,X86-64_EFI,"Holdfast",ipxe.efi,${host}`,
    `pxe-service=tag:!ipxe,BC_EFI,"Holdfast",ipxe.efi,${host}`,
  ];
  return isProxy ? [...boot, ...service] : boot;
}
