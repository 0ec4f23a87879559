import { HoldfastError } from '@holdfast/contract/errors';
import { portalText } from '../initiator/connection.ts';
import type { Portal } from '../initiator/connection.ts';
import { loginFailure } from '../initiator/login-failure.ts';

/** What iscsiadm is to be told about: one target at one portal, by an interface record of its own. */
export interface NodeAddress {
  target: string;
  /** With an address for a host: the record is filed under it. */
  portal: Portal;
  /** The group of the portal: without it all interfaces would share one record (idbm.c of open-iscsi). */
  portalGroup: number;
  /** Name of the interface record, which carries the initiator's name. */
  iface: string;
}

function node({ target, portal, portalGroup, iface }: NodeAddress): string[] {
  const place = `${portalText(portal)},${portalGroup}`;
  return ['--mode', 'node', '--targetname', target, '--portal', place, '--interface', iface];
}

function ifaceRecord(name: string): string[] {
  return ['--mode', 'iface', '--interface', name];
}

/** The arguments of each call of iscsiadm(8). None of them is a secret. */
export const iscsiadmArguments = {
  makeIface: (name: string) => [...ifaceRecord(name), '--op', 'new'],
  setIface: (name: string, key: string, value: string) => [
    ...ifaceRecord(name),
    '--op',
    'update',
    '--name',
    `iface.${key}`,
    '--value',
    value,
  ],
  removeIface: (name: string) => [...ifaceRecord(name), '--op', 'delete'],
  makeNode: (address: NodeAddress) => [...node(address), '--op', 'new'],
  removeNode: (address: NodeAddress) => [...node(address), '--op', 'delete'],
  /** Of an interface, whatever the target. */
  removeNodes: (iface: string) => ['--mode', 'node', '--interface', iface, '--op', 'delete'],
  login: (address: NodeAddress) => [...node(address), '--login'],
  logout: (address: NodeAddress) => [...node(address), '--logout'],
  logoutSession: (session: number) => ['--mode', 'session', '--sid', String(session), '--logout'],
};

/** Statuses of iscsiadm(8) that are no failure of the step: done, nothing found to undo. */
export const iscsiadmStatus = { ok: 0, noObjects: 21 } as const;

/** The error for a status of a login by iscsiadm(8). */
export function kernelLoginFailure(code: number, target: string): HoldfastError {
  switch (code) {
    case 24:
      return loginFailure(0x02_01, target);
    case 21:
    case 19:
      return loginFailure(0x02_03, target);
    case 4:
    case 8:
    case 11:
      return new HoldfastError(
        'backend_unavailable',
        `The iSCSI server of ${target} does not answer. Check the fields portal and port, and the network.`,
      );
    case 18:
    case 20:
      return new HoldfastError(
        'backend_unavailable',
        'The service iscsid does not run on the hub. Start it (systemctl enable --now iscsid), or set mode to direct.',
        { retryable: false },
      );
    default:
      return new HoldfastError(
        'backend_unavailable',
        `The kernel could not log in at ${target} (iscsiadm status ${code}). Look into the journal of iscsid.`,
      );
  }
}
