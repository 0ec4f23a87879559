import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { freePort } from './free-port.ts';
import { startRestartable } from './restartable.ts';
import type { Restartable } from './restartable.ts';
import { makeTempDir } from './temp-dir.ts';

const DAV_EXT_MODULE = '/usr/lib/nginx/modules/ngx_http_dav_ext_module.so';

/** An nginx on loopback with WebDAV on one port, and read-only views of the same folder on two more. */
export interface WebdavNginx extends Restartable {
  /** Ports of the servers: WebDAV; JSON index behind a bearer token; HTML index for all. */
  readonly ports: { dav: number; json: number; html: number };
  /** The folder that it serves. */
  readonly root: string;
}

export interface WebdavNginxOptions {
  /** Asked for by basic authentication on the WebDAV port. */
  basic?: { username: string; password: string };
  /** Asked for on the JSON port. */
  bearerToken?: string;
  /** The folder to serve, with room beside it for nginx's own. Default: one of its own. */
  root?: string;
}

/** Starts an nginx of its own. Throws with its log when it does not come up within 10 s. */
export async function startWebdavNginx(options: WebdavNginxOptions = {}): Promise<WebdavNginx> {
  if (!existsSync(DAV_EXT_MODULE)) {
    throw new Error(
      `There is no ${DAV_EXT_MODULE}. Install the Debian packages nginx-light and libnginx-mod-http-dav-ext.`,
    );
  }
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('webdav'));
  const root = options.root ?? work.join('root');
  await mkdir(root, { recursive: true });
  await mkdir(work.join('tmp'));
  const ports = { dav: await freePort(), json: await freePort(), html: await freePort() };
  if (options.basic !== undefined) {
    const { username, password } = options.basic;
    await writeFile(work.join('users'), `${username}:{PLAIN}${password}\n`);
  }
  await writeFile(work.join('nginx.conf'), configuration(work.path, root, ports, options));
  const server = resources.use(
    await startRestartable({
      command: 'nginx',
      args: ['-p', work.path, '-c', work.join('nginx.conf')],
      // At level notice nginx reports on standard error that it is about to take connections.
      ready: /using the ".*" event method/,
      debianPackage: 'nginx-light',
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

/** One process in the foreground, so that it is one pid to kill; unfinished bodies lie beside the root, for a rename. */
function configuration(
  work: string,
  root: string,
  ports: WebdavNginx['ports'],
  options: WebdavNginxOptions,
): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const auth = options.basic === undefined ? '' : `auth_basic files; auth_basic_user_file ${work}/users;`;
  const token = options.bearerToken;
  const bearer = token === undefined ? '' : `if ($http_authorization != "Bearer ${token}") { return 401; }`;
  return `
load_module ${DAV_EXT_MODULE};
daemon off;
master_process off;
user root;
pid ${work}/nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000;
  client_max_body_size 0;
  default_type application/octet-stream;
  root ${root};
  ${temporary.map((kind) => `${kind}_temp_path ${work}/tmp/${kind};`).join('\n  ')}
  server {
    listen 127.0.0.1:${ports.dav};
    location / {
      dav_methods PUT DELETE MKCOL COPY MOVE;
      dav_ext_methods PROPFIND OPTIONS;
      create_full_put_path on;
      ${auth}
    }
    location /elsewhere/ { return 302 http://127.0.0.1:${ports.html}/; }
  }
  server {
    listen 127.0.0.1:${ports.json};
    location / { autoindex on; autoindex_format json; ${bearer} }
  }
  server {
    listen 127.0.0.1:${ports.html};
    location / { autoindex on; }
    location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }
    location /abroad/ { return 302 http://127.0.0.1:${ports.json}/; }
  }
}
`;
}
