import { HoldfastError } from '@holdfast/contract/errors';

/** The hub's address in the parts that boot loaders want. */
export interface ServerAddress {
  /** `http://host:port`, without a trailing slash. */
  url: string;
  scheme: 'http' | 'https';
  /** `host`, or `host:port` when the port is not the scheme's own; IPv6 addresses are in brackets. */
  authority: string;
}

/** Host names and addresses only: the value may come from a Host header and goes into scripts unquoted. */
const pattern =
  /^(https?):\/\/((?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)$/;

/**
 * Parses the address under which machines reach the hub.
 *
 * @throws HoldfastError `invalid_request` for anything but `http(s)://host[:port]`.
 */
export function parseServer(server: string): ServerAddress {
  const [, scheme, authority] = pattern.exec(server) ?? [];
  if ((scheme !== 'http' && scheme !== 'https') || authority === undefined) {
    throw new HoldfastError(
      'invalid_request',
      'The address of the hub for boot scripts must look like http://host:port; ' +
        'set HOLDFAST_PUBLIC_URL to one that the machines can reach.',
    );
  }
  return { url: server, scheme, authority };
}
