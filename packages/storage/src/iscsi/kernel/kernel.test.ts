import { makeTempDir } from '@holdfast/test-support/temp-dir';
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { refusal } from '../../conformance/subject.ts';
import { connectionSettings, mountConnection } from '../config.ts';
import { chooseMode } from './choose-mode.ts';
import type { Machine } from './choose-mode.ts';
import { iscsiadmArguments, kernelLoginFailure } from './iscsiadm.ts';
import { fenceArguments, reservationKey } from './kernel-fence.ts';
import { applySettings, nodeSettings } from './node-record.ts';
import { deviceOfSession, sessionsOf, stateOfSession } from './session-device.ts';
import { UndoSteps } from './undo-steps.ts';

const connection = mountConnection(
  connectionSettings(
    {
      target: 'iqn.2026-01.test:disk',
      portal: '10.0.0.5',
      chap_enabled: true,
      chap_username: 'hub',
      chap_password: 'a-secret-of-chap',
    },
    { ownerId: 'hub-1' },
  ),
  { ownerId: 'hub-1', stallMs: 30_000 },
);
const address = {
  target: connection.target,
  portal: connection.portal,
  portalGroup: 1,
  iface: 'holdfast-1',
};

function machine(missing: readonly string[]): Machine {
  const has = async (name: string): Promise<boolean> => !missing.includes(name);
  return { hasTool: has, hasFile: has, hasModule: has };
}

describe('the mode', () => {
  it('auto is the kernel where it can be, else direct', async () => {
    expect(await chooseMode('auto', machine([]))).toBe('kernel');
    expect(await chooseMode(undefined, machine(['iscsi_tcp']))).toBe('direct');
    expect(await chooseMode('auto', machine(['iscsiadm']))).toBe('direct');
    expect(await chooseMode('direct', machine([]))).toBe('direct');
  });

  it.each([
    ['kernel', ['iscsi_tcp', 'sg_persist'], 'the program sg_persist, the kernel module iscsi_tcp'],
    ['direct', ['nbdfuse', '/dev/fuse'], 'the program nbdfuse, the device /dev/fuse'],
    ['auto', ['iscsiadm', 'losetup'], 'the program losetup'],
  ] as const)(
    '%s that the machine cannot do is refused with what is missing',
    async (mode, missing, named) => {
      const error = await refusal(chooseMode(mode, machine(missing)), 'backend_unavailable');
      expect(error.errors?.[0]?.field).toBe('config.mode');
      expect(error.message).toContain(named);
      expect(error.message).toContain('Install the packages');
    },
  );

  it('is found out on this machine as it is', async () => {
    const mode = await chooseMode('auto').catch((error: unknown) => String(error));
    expect(mode).toMatch(/^(kernel|direct)$|needs what the hub does not have/);
  });
});

describe('the calls of iscsiadm', () => {
  it('carry no secret', () => {
    const all = [
      iscsiadmArguments.makeIface(address.iface),
      iscsiadmArguments.setIface(address.iface, 'initiatorname', connection.initiatorName),
      iscsiadmArguments.removeIface(address.iface),
      iscsiadmArguments.makeNode(address),
      iscsiadmArguments.removeNode(address),
      iscsiadmArguments.login(address),
      iscsiadmArguments.logout(address),
      iscsiadmArguments.removeNodes(address.iface),
      iscsiadmArguments.logoutSession(3),
    ];
    expect(JSON.stringify(all)).not.toContain('a-secret');
    expect(iscsiadmArguments.login(address).join(' ')).toBe(
      '--mode node --targetname iqn.2026-01.test:disk --portal 10.0.0.5:3260,1 --interface holdfast-1 --login',
    );
  });

  it.each([
    [24, 'config.chap_password', false],
    [21, 'config.target', false],
    [8, undefined, true],
    [20, undefined, false],
    [99, undefined, true],
  ])('that end with %i are told as what they mean', (code, field, retryable) => {
    const error = kernelLoginFailure(code, connection.target);
    expect(error.errors?.[0]?.field).toBe(field);
    expect(error.retryable).toBe(retryable);
  });
});

describe('a node record', () => {
  it('gets the settings in place of its own, and those that it lacks before its end', () => {
    const record = [
      '# BEGIN RECORD 2.1.8',
      'node.name = iqn.2026-01.test:disk',
      'node.startup = automatic',
      'node.session.auth.authmethod = None',
      '# END RECORD',
      '',
    ].join('\n');
    const changed = applySettings(record, nodeSettings(connection));
    expect(changed).toContain('node.name = iqn.2026-01.test:disk\nnode.startup = manual\n');
    expect(changed).toContain('node.session.auth.authmethod = CHAP\n');
    expect(changed).toContain('node.session.auth.password = a-secret-of-chap\n');
    expect(changed).toContain('node.session.timeo.replacement_timeout = 30\n');
    expect(changed.endsWith('# END RECORD\n')).toBe(true);
    expect(applySettings(changed, nodeSettings(connection))).toBe(changed);
  });

  it('takes no value that would begin another line', () => {
    expect(() => applySettings('', [['node.session.auth.password', 'a\nnode.startup = automatic']])).toThrow(
      'line break',
    );
  });
});

describe('the reservation by sg_persist', () => {
  it('is made of these calls', () => {
    const calls = (['register', 'reserve', 'preempt', 'release', 'unregister'] as const).map((step) =>
      fenceArguments(step, '0123456789abcdef', '/dev/sdb').join(' '),
    );
    expect(calls).toEqual([
      '--out --register-ignore --param-sark=0x0123456789abcdef /dev/sdb',
      '--out --reserve --param-rk=0x0123456789abcdef --prout-type=5 /dev/sdb',
      '--out --preempt --param-rk=0x0123456789abcdef --param-sark=0x0123456789abcdef --prout-type=5 /dev/sdb',
      '--out --release --param-rk=0x0123456789abcdef --prout-type=5 /dev/sdb',
      '--out --register --param-rk=0x0123456789abcdef --param-sark=0 /dev/sdb',
    ]);
  });

  it('is read from what it prints', () => {
    const held =
      '  PR generation=0x2, Reservation follows:\n    Key=0x123abc\n    scope: LU_SCOPE,  type: Write Exclusive\n';
    expect(reservationKey(held)).toBe('0000000000123abc');
    expect(reservationKey('  PR generation=0x2, there is NO reservation held\n')).toBeUndefined();
  });
});

describe('the sessions of the kernel', () => {
  it('are found by their interface record, and their devices by LUN', async () => {
    await using sysfs = await makeTempDir('sysfs');
    const session = sysfs.join('class/iscsi_session/session3');
    await mkdir(`${session}/device/target4:0:0/4:0:0:1/block/sdc`, { recursive: true });
    await mkdir(`${session}/device/target4:0:0/4:0:0:11/block/sdd`, { recursive: true });
    // LUN 300 in flat space addressing, as the kernel writes it.
    await mkdir(`${session}/device/target4:0:0/4:0:0:16684/block/sde`, { recursive: true });
    await mkdir(`${session}/device/power`, { recursive: true });
    await writeFile(`${session}/state`, 'LOGGED_IN\n');
    await writeFile(`${session}/ifacename`, 'holdfast-1\n');
    await mkdir(sysfs.join('class/iscsi_session/session4'));
    await writeFile(sysfs.join('class/iscsi_session/session4/ifacename'), 'holdfast-11\n');
    await mkdir(sysfs.join('class/iscsi_session/session5'));

    expect(await sessionsOf('holdfast-1', sysfs.path)).toEqual([3]);
    expect(await sessionsOf('holdfast-11', sysfs.path)).toEqual([4]);
    expect(await sessionsOf('default', sysfs.path)).toEqual([]);
    expect(await deviceOfSession(3, 1, sysfs.path)).toBe('/dev/sdc');
    expect(await deviceOfSession(3, 11, sysfs.path)).toBe('/dev/sdd');
    expect(await deviceOfSession(3, 300, sysfs.path)).toBe('/dev/sde');
    expect(await deviceOfSession(3, 2, sysfs.path)).toBeUndefined();
    expect(await deviceOfSession(6, 1, sysfs.path)).toBeUndefined();
    expect(await stateOfSession(3, sysfs.path)).toBe('LOGGED_IN');
    expect(await stateOfSession(5, sysfs.path)).toBeUndefined();
  });
});

it('steps are undone in the opposite order, each of them, and by their last owner only', async () => {
  const undone: string[] = [];
  await using owner = new UndoSteps();
  {
    await using steps = new UndoSteps();
    steps.add(async () => void undone.push('first'));
    steps.add(async () => {
      undone.push('second');
      throw new Error('it is gone already');
    });
    steps.add(async () => void undone.push('third'));
    const moved = steps.move();
    owner.add(() => moved[Symbol.asyncDispose]());
  }
  expect(undone).toEqual([]);
  await owner[Symbol.asyncDispose]();
  expect(undone).toEqual(['third', 'second', 'first']);
});
