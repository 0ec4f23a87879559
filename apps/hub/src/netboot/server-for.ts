import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import ipaddr from 'ipaddr.js';

/**
 * The address of this machine that a client can most likely reach: the one whose network the client is in, else the
 * first that is not loopback. For protocols that, unlike HTTP, do not tell which address was asked.
 */
export function localAddressFor(
  client: string,
  interfaces: Partial<Record<string, NetworkInterfaceInfo[]>> = networkInterfaces(),
): string {
  const addresses = Object.values(interfaces).flatMap((list) => list ?? []);
  const parsed = ipaddr.isValid(client) ? ipaddr.process(client) : null;
  const near = addresses.find(({ cidr }) => {
    if (parsed === null || cidr === null) return false;
    const [network, bits] = ipaddr.parseCIDR(cidr);
    return network.kind() === parsed.kind() && parsed.match(network, bits);
  });
  const found = near ?? addresses.find(({ internal, family }) => !internal && family === 'IPv4');
  return found?.address ?? '127.0.0.1';
}
