/** A location in GRUB's words, or why GRUB cannot read it. */
export type GrubLocation = { file: string } | { problem: string };

/**
 * A URL as GRUB writes it: `(http,host:port)/path` or `(tftp,host)/path`. GRUB knows neither TLS nor iSCSI.
 */
export function grubLocation(url: string): GrubLocation {
  const [, scheme = '', authority = '', path = '/'] = /^([a-z]+):(?:\/\/([^/?#]+)(.*))?$/i.exec(url) ?? [];
  switch (scheme.toLowerCase()) {
    case 'http':
    case 'tftp':
      return { file: `(${scheme.toLowerCase()},${authority})${path === '' ? '/' : path}` };
    case 'https':
      return { problem: 'GRUB cannot read https addresses. Give the hub an http address for booting.' };
    case 'iscsi':
      return { problem: 'GRUB cannot boot from iSCSI. Boot this node with iPXE.' };
    default:
      return { problem: 'GRUB reads http and tftp addresses only. Boot this node with iPXE.' };
  }
}
