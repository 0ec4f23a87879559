import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { freePort } from './free-port.ts';
import { httpAnswers } from './http-answers.ts';
import { runProcess, startProcess } from './process.ts';
import type { RunningProcess } from './process.ts';
import type { S3Server } from './s3-server.ts';
import { makeTempDir } from './temp-dir.ts';
import type { TempDir } from './temp-dir.ts';

const START_TIMEOUT_MS = 120_000;

const programs = [
  ['/usr/bin/swift-proxy-server', 'swift-proxy'],
  ['/usr/bin/swift-account-server', 'swift-account'],
  ['/usr/bin/swift-container-server', 'swift-container'],
  ['/usr/bin/swift-object-server', 'swift-object'],
  ['/usr/bin/memcached', 'memcached'],
] as const;

const storageKinds = ['account', 'container', 'object'] as const;
type StorageKind = (typeof storageKinds)[number];

const user = { accessKeyId: 'test:holdfast', secretAccessKey: 'swift-secret/+1' };

export interface SwiftOptions {
  /** Parts that the upload of an object may have. Default: Swift's own, 1000. */
  maxParts?: number;
}

/**
 * Starts OpenStack Swift, which speaks S3 by its middleware `s3api`: a proxy, and one server each for accounts,
 * containers and objects, with one copy of everything. It takes some seconds, and 250 MB of memory. Everything ends with
 * the test process, however that ends. Throws when a Debian package is missing.
 */
export async function startSwift(options: SwiftOptions = {}): Promise<S3Server> {
  for (const [file, name] of programs) {
    if (!existsSync(file)) throw new Error(`There is no ${file}. Install the Debian package ${name}.`);
  }
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('swift'));
  const ports = { account: await freePort(), container: await freePort(), object: await freePort() };
  const port = await freePort();
  const cachePort = await freePort();
  await configure(work, ports, { port, cachePort }, options);
  // Swift asks for its cache before it looks at a signature.
  resources.use(
    await startProcess('memcached', ['-l', '127.0.0.1', '-p', String(cachePort), '-u', userInfo().username]),
  );
  await Promise.all(
    storageKinds.map(async (kind) => {
      const server = resources.use(await startServer(work, kind));
      await httpAnswers(`http://127.0.0.1:${ports[kind]}/healthcheck`, server, START_TIMEOUT_MS);
    }),
  );
  let proxy: RunningProcess | undefined;
  const kill = async (): Promise<void> => {
    await proxy?.[Symbol.asyncDispose]();
    proxy = undefined;
  };
  const restart = async (): Promise<void> => {
    await kill();
    proxy = await startServer(work, 'proxy');
    await httpAnswers(`http://127.0.0.1:${port}/healthcheck`, proxy, START_TIMEOUT_MS);
  };
  resources.defer(kill);
  await restart();
  const owned = resources.move();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    ...user,
    signal: (signal) => void proxy?.kill(signal),
    kill,
    restart,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** In the foreground, one process, its log on standard error (`-v`). */
function startServer(work: TempDir, kind: StorageKind | 'proxy'): Promise<RunningProcess> {
  return startProcess(`swift-${kind}-server`, [work.join(`${kind}.conf`), '-v'], { cwd: work.path });
}

/** Configurations of all servers, and the rings that tell where a kind of data is. */
async function configure(
  work: TempDir,
  ports: Record<StorageKind, number>,
  front: { port: number; cachePort: number },
  options: SwiftOptions,
): Promise<void> {
  await mkdir(work.join('disks', 'd1'), { recursive: true });
  await writeFile(work.join('swift.conf'), swiftConfiguration);
  for (const kind of storageKinds) {
    await writeFile(work.join(`${kind}.conf`), storageConfiguration(work, kind, ports[kind]));
  }
  await writeFile(work.join('proxy.conf'), proxyConfiguration(work, front, options));
  const rings = Object.entries(ports).flatMap(([kind, port]) => [kind, String(port)]);
  await runProcess('/usr/bin/python3', ['-c', ringScript, work.path, ...rings]);
}

/** Two partitions and one device a ring. The library's own builder: its program would start twelve times. */
const ringScript = `
import sys
from swift.common.ring import RingBuilder
folder, rings = sys.argv[1], sys.argv[2:]
for kind, port in zip(rings[::2], rings[1::2]):
    builder = RingBuilder(1, 1, 0)
    builder.add_dev(dict(region=1, zone=1, ip='127.0.0.1', port=int(port), device='d1', weight=1))
    builder.rebalance()
    builder.get_ring().save('%s/%s.ring.gz' % (folder, kind))
`;

const swiftConfiguration = `
[swift-hash]
swift_hash_path_suffix = holdfast
[storage-policy:0]
name = one-copy
default = yes
`;

function common(work: TempDir, port: number): string {
  return `
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${port}
user = ${userInfo().username}
swift_dir = ${work.path}
workers = 0
log_level = INFO
`;
}

function storageConfiguration(work: TempDir, kind: StorageKind, port: number): string {
  return `${common(work, port)}
devices = ${work.join('disks')}
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = healthcheck ${kind}-server
[filter:healthcheck]
use = egg:swift#healthcheck
[app:${kind}-server]
use = egg:swift#${kind}
# Nothing runs here that would catch up on an update of a listing that took too long.
container_update_timeout = 60
conn_timeout = 20
node_timeout = 60
`;
}

function proxyConfiguration(
  work: TempDir,
  front: { port: number; cachePort: number },
  options: SwiftOptions,
): string {
  const parts = options.maxParts === undefined ? '' : `max_upload_part_num = ${options.maxParts}`;
  return `${common(work, front.port)}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache s3api tempauth copy slo dlo proxy-server
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${front.cachePort}
[filter:s3api]
use = egg:swift#s3api
${parts}
[filter:tempauth]
use = egg:swift#tempauth
user_${user.accessKeyId.replace(':', '_')} = ${user.secretAccessKey} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 20
node_timeout = 60
`;
}
