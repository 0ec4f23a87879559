import { isSameOwner } from '../initiator/fence.ts';
import { ReservedByAnother } from '../initiator/sense.ts';
import { noReservations } from '../initiator/logical-unit.ts';
import { WRITE_EXCLUSIVE_REGISTRANTS_ONLY } from '../initiator/persistent-reservation.ts';
import { runTool } from '../stack/tool.ts';

const doing = 'Reserving the LUN';
/** sg_persist(8) ends with 24 for a reservation conflict and 9 for a command that the device does not know. */
const status = { ok: 0, unsupported: 9, conflict: 24 } as const;

type Action = 'register' | 'reserve' | 'preempt' | 'release' | 'unregister';

/**
 * The arguments of sg_persist(8) for a step.
 * @param key sixteen hexadecimal digits; no secret
 * @param about the key to be preempted
 */
export function fenceArguments(action: Action, key: string, device: string, about = key): string[] {
  const type = `--prout-type=${WRITE_EXCLUSIVE_REGISTRANTS_ONLY}`;
  const own = `--param-rk=0x${key}`;
  const service = `--param-sark=0x${about}`;
  const step = {
    register: ['--register-ignore', service],
    reserve: ['--reserve', own, type],
    preempt: ['--preempt', own, service, type],
    release: ['--release', own, type],
    unregister: ['--register', own, '--param-sark=0'],
  } satisfies Record<Action, string[]>;
  return ['--out', ...step[action], device];
}

/** The key that has reserved a device, from what `sg_persist --in --read-reservation` prints; undefined for none. */
export function reservationKey(printed: string): string | undefined {
  const [, key] = /^\s*Key\s*=\s*0x([0-9a-fA-F]{1,16})\s*$/m.exec(printed) ?? [];
  return key?.toLowerCase().padStart(16, '0');
}

/** The key that has reserved a device; undefined for none. @throws HoldfastError when the target cannot reserve */
async function holderOf(device: string): Promise<string | undefined> {
  const read = await runTool('sg_persist', ['--in', '--read-reservation', device], {
    okCodes: [status.ok, status.unsupported],
  });
  if (read.code === status.unsupported) throw noReservations();
  return reservationKey(read.stdout);
}

/**
 * Registers with the target and reserves a device.
 * @param holder the key that has it now, and is to lose it
 */
async function reserve(device: string, key: string, holder: string | undefined): Promise<void> {
  await runTool('sg_persist', fenceArguments('register', key, device));
  const step = holder === undefined ? 'reserve' : 'preempt';
  const { code } = await runTool('sg_persist', fenceArguments(step, key, device, holder), {
    okCodes: [status.ok, status.conflict],
  });
  if (code === status.ok) return;
  await runTool('sg_persist', fenceArguments('unregister', key, device));
  throw new ReservedByAnother(doing);
}

/** As `acquireFence`, by the session of the kernel; takes the LUN over from an earlier start of the same owner. */
export async function acquireKernelFence(device: string, key: string): Promise<void> {
  const holder = await holderOf(device);
  const isOurs = holder === undefined || isSameOwner(Buffer.from(holder, 'hex'), Buffer.from(key, 'hex'));
  if (!isOurs) throw new ReservedByAnother(doing);
  await reserve(device, key, holder);
}

/**
 * Reserves a device again when the target has forgotten the reservation, as one that was restarted has.
 * @throws ReservedByAnother also for another start of the same owner: it has taken the LUN over
 */
export async function keepKernelFence(device: string, key: string): Promise<void> {
  const holder = await holderOf(device);
  if (holder === key) return;
  if (holder !== undefined) throw new ReservedByAnother(doing);
  await reserve(device, key, undefined);
}

export async function releaseKernelFence(device: string, key: string): Promise<void> {
  await runTool('sg_persist', fenceArguments('release', key, device));
  await runTool('sg_persist', fenceArguments('unregister', key, device));
}
