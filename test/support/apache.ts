import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { freePort } from './free-port.ts';
import { runProcess } from './process.ts';
import { startRestartable } from './restartable.ts';
import type { Restartable } from './restartable.ts';
import { makeTempDir } from './temp-dir.ts';

const PROGRAM = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';
const loaded = [
  'mpm_event',
  'authn_core',
  'authn_file',
  'authz_core',
  'authz_user',
  'auth_basic',
  'dir',
  'autoindex',
  'mime',
  'dav',
  'dav_fs',
];

/** An Apache on loopback with mod_dav on one port, and a read-only view with an HTML index on another. */
export interface Apache extends Restartable {
  readonly ports: { dav: number; html: number };
  /** The folder that it serves; writable for all, as Apache does not write as root. */
  readonly root: string;
}

export interface ApacheOptions {
  /** Asked for by basic authentication on the WebDAV port. */
  basic?: { username: string; password: string };
  /** The folder to serve. Default: one of its own. */
  root?: string;
}

/** Starts an Apache of its own. Throws with its log when it does not come up within 10 s. */
export async function startApache(options: ApacheOptions = {}): Promise<Apache> {
  if (!existsSync(PROGRAM))
    throw new Error(`There is no ${PROGRAM}. Install the Debian packages apache2 and apache2-utils.`);
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('apache'));
  const root = options.root ?? work.join('root');
  for (const folder of [root, work.join('lock')]) {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o777);
  }
  await chmod(work.path, 0o755);
  if (options.basic !== undefined) {
    const { username, password } = options.basic;
    await runProcess('htpasswd', ['-i', '-c', work.join('users'), username], { input: `${password}\n` });
  }
  const ports = { dav: await freePort(), html: await freePort() };
  await writeFile(work.join('httpd.conf'), configuration(work.path, root, ports, options));
  const server = resources.use(
    await startRestartable({
      command: PROGRAM,
      args: ['-f', work.join('httpd.conf'), '-D', 'FOREGROUND'],
      ready: /resuming normal operations/,
      // Its logger writes to standard output; a log file that is a socket it cannot open.
      stream: 'stdout',
      debianPackage: 'apache2',
    }),
  );
  const owned = resources.move();
  return {
    ports,
    root,
    get pid() {
      return server.pid;
    },
    kill: () => server.kill(),
    restart: () => server.restart(),
    freeze: () => server.freeze(),
    thaw: () => server.thaw(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function configuration(work: string, root: string, ports: Apache['ports'], options: ApacheOptions): string {
  const access =
    options.basic === undefined
      ? 'Require all granted'
      : `AuthType Basic\n    AuthName files\n    AuthUserFile ${work}/users\n    Require valid-user`;
  return `
ServerRoot ${work}
ServerName 127.0.0.1
Listen 127.0.0.1:${ports.dav}
Listen 127.0.0.1:${ports.html}
PidFile ${work}/apache.pid
ErrorLog "|/bin/cat"
LogLevel notice
DefaultRuntimeDir ${work}
Mutex file:${work}/lock default
${loaded.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`).join('\n')}
User www-data
Group www-data
StartServers 1
ServerLimit 4
ThreadsPerChild 32
MaxRequestWorkers 128
MinSpareThreads 1
MaxSpareThreads 128
TypesConfig /etc/mime.types
DAVLockDB ${work}/lock/db
LimitRequestBody 0
MaxKeepAliveRequests 0
EnableSendfile On
<VirtualHost 127.0.0.1:${ports.dav}>
  DocumentRoot ${root}
  <Directory ${root}>
    Dav On
    Options None
    ${access}
  </Directory>
</VirtualHost>
<VirtualHost 127.0.0.1:${ports.html}>
  DocumentRoot ${root}
  <Directory ${root}>
    Options Indexes
    IndexOptions FancyIndexing NameWidth=*
    Require all granted
  </Directory>
</VirtualHost>
`;
}
