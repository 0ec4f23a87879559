import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { freePort } from './free-port.ts';
import { httpAnswers } from './http-answers.ts';
import { runProcess, startProcess } from './process.ts';
import type { RunningProcess } from './process.ts';
import type { S3Server } from './s3-server.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';

/** Room of the one sparse file that holds all objects. */
const STORE_BYTES = 20 * 1024 ** 3;
const START_TIMEOUT_MS = 120_000;

const programs = [
  ['/usr/bin/ceph-mon', 'ceph-mon'],
  ['/usr/bin/ceph-osd', 'ceph-osd'],
  ['/usr/bin/radosgw', 'radosgw'],
  ['/usr/bin/ceph', 'ceph-common'],
] as const;

/** An object storage of its own: Ceph with one monitor, one OSD and one S3 gateway (RGW). */
export interface CephServer extends S3Server {
  /** Makes another user, who has at most this quota in bytes when one is given. */
  createUser(name: string, quotaBytes?: number): Promise<{ accessKeyId: string; secretAccessKey: string }>;
}

/**
 * Starts the servers with their own folder and keys. It takes about 20 s, and 150 MB of memory. Everything ends with
 * the test process, however that ends. Throws when a Debian package is missing.
 */
export async function startCeph(): Promise<CephServer> {
  for (const [file, name] of programs) {
    if (!existsSync(file)) throw new Error(`There is no ${file}. Install the Debian package ${name}.`);
  }
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('ceph'));
  const monitorPort = await freePort();
  const port = await freePort();
  const cluster = new Cluster(work, monitorPort);
  await cluster.configure();
  resources.use(await cluster.startMonitor());
  resources.use(await cluster.startStore());
  const admin = await cluster.createUser('holdfast');
  const gateway = resources.use(new Gateway(cluster, port));
  await gateway.start();
  const owned = resources.move();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    ...admin,
    signal: (signal) => gateway.signal(signal),
    kill: () => gateway.kill(),
    restart: () => gateway.start(),
    createUser: (name, quotaBytes) => cluster.createUser(name, quotaBytes),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The daemons behind the gateway, and their administration. */
class Cluster {
  readonly #work: TempDir;
  readonly #monitorPort: number;
  readonly #id = randomUUID();

  constructor(work: TempDir, monitorPort: number) {
    this.#work = work;
    this.#monitorPort = monitorPort;
  }

  /** Configuration and keyrings; every path is below the folder of this cluster. */
  async configure(): Promise<void> {
    await Promise.all(['mon', 'osd', 'run', 'rgw'].map((name) => mkdir(this.#work.join(name))));
    await writeFile(this.#work.join('ceph.conf'), this.#configuration());
    const keyring = this.#work.join('keyring');
    const caps = (...granted: string[]): string[] =>
      granted.flatMap((name) => ['--cap', name, name === 'mds' ? 'allow' : 'allow *']);
    await runProcess('ceph-authtool', [
      ...['--create-keyring', keyring, '--gen-key', '-n', 'mon.'],
      ...caps('mon'),
    ]);
    for (const [name, granted] of [
      ['client.admin', ['mon', 'osd', 'mgr', 'mds']],
      ['osd.0', ['mon', 'osd', 'mgr']],
      ['client.rgw.a', ['mon', 'osd', 'mgr']],
    ] as const) {
      await runProcess('ceph-authtool', [keyring, '--gen-key', '-n', name, ...caps(...granted)]);
    }
  }

  async startMonitor(): Promise<RunningProcess> {
    const map = this.#work.join('monmap');
    await runProcess('monmaptool', [
      ...['--create', '--addv', 'a', `[v2:127.0.0.1:${this.#monitorPort}]`],
      ...['--fsid', this.#id, map],
    ]);
    const keyring = this.#work.join('keyring');
    await this.#run('ceph-mon', ['--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring]);
    return startProcess('ceph-mon', [...this.#common(), '-i', 'a', '-f']);
  }

  async startStore(): Promise<RunningProcess> {
    const osdId = randomUUID();
    await this.#run('ceph', ['osd', 'new', osdId, '0']);
    await this.#run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', osdId]);
    return startProcess('ceph-osd', [...this.#common(), '-i', '0', '-f']);
  }

  startGateway(port: number): Promise<RunningProcess> {
    return startProcess('radosgw', [
      ...[...this.#common(), '-n', 'client.rgw.a', '-f'],
      ...['--rgw-frontends', `beast endpoint=127.0.0.1:${port}`],
    ]);
  }

  async createUser(
    name: string,
    quotaBytes?: number,
  ): Promise<{ accessKeyId: string; secretAccessKey: string }> {
    const keys = { accessKeyId: `key-of-${name}`, secretAccessKey: `${randomUUID()}/+${randomUUID()}` };
    const user = ['--uid', name];
    await this.#run('radosgw-admin', [
      ...['user', 'create', ...user, '--display-name', name],
      ...['--access-key', keys.accessKeyId, '--secret-key', keys.secretAccessKey],
    ]);
    if (quotaBytes !== undefined) {
      const scope = [...user, '--quota-scope=user'];
      await this.#run('radosgw-admin', ['quota', 'set', ...scope, `--max-size=${quotaBytes}`]);
      await this.#run('radosgw-admin', ['quota', 'enable', ...scope]);
    }
    return keys;
  }

  #common(): string[] {
    return ['-c', this.#work.join('ceph.conf')];
  }

  async #run(command: string, args: readonly string[]): Promise<void> {
    await runProcess(command, [...this.#common(), ...args], { timeoutMs: START_TIMEOUT_MS });
  }

  #configuration(): string {
    const at = (name: string): string => this.#work.join(name);
    return `
[global]
fsid = ${this.#id}
mon_host = [v2:127.0.0.1:${this.#monitorPort}]
mon_initial_members = a
public_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = ${at('keyring')}
run_dir = ${at('run')}
admin_socket = ${at('run')}/$name.$pid.asok
pid_file = ${at('run')}/$name.pid
log_file = ${at('run')}/$name.log
mon_cluster_log_file = ${at('run')}/cluster.log
crash_dir = ${at('run')}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_warn = 1
mon_data_avail_crit = 0
# A gateway that was killed holds up the next change of a bucket until its watch has run out.
osd_client_watch_timeout = 2
[mon.a]
mon_data = ${at('mon')}
[osd.0]
osd_data = ${at('osd')}
osd_objectstore = bluestore
bluestore_block_create = true
bluestore_block_size = ${STORE_BYTES}
osd_memory_target = 939524096
ms_bind_ipv6 = false
[client.rgw.a]
rgw_data = ${at('rgw')}
rgw_thread_pool_size = 64
rgw_enable_usage_log = false
`;
  }
}

/** The S3 gateway process, which tests kill and start again. */
class Gateway implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly #port: number;
  #process: RunningProcess | undefined;

  constructor(cluster: Cluster, port: number) {
    this.#cluster = cluster;
    this.#port = port;
  }

  async start(): Promise<void> {
    await this.kill();
    this.#process = await this.#cluster.startGateway(this.#port);
    await httpAnswers(`http://127.0.0.1:${this.#port}`, this.#process, START_TIMEOUT_MS);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  async kill(): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]();
    this.#process = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
