import { mkdir, writeFile } from 'node:fs/promises';
import { freePort } from './free-port.ts';
import { startProcess } from './process.ts';
import { makeTempDir } from './temp-dir.ts';

/** An nginx that serves one folder on loopback. */
export interface NginxServer extends AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
}

/** Starts an nginx of its own that serves a folder, each connection with `limitRate` bytes a second at most (0: no limit). Throws with its log when it does not come up within 10 s. */
export async function startNginx(root: string, options: { limitRate?: number } = {}): Promise<NginxServer> {
  await using resources = new AsyncDisposableStack();
  const work = resources.use(await makeTempDir('nginx'));
  const port = await freePort();
  await mkdir(work.join('tmp'));
  await writeFile(work.join('nginx.conf'), configuration(work.path, root, port, options.limitRate ?? 0));
  const server = resources.use(await startProcess('nginx', ['-p', work.path, '-c', work.join('nginx.conf')]));
  // At level notice nginx reports on standard error that it is about to take connections.
  await server.waitForOutput(/using the ".*" event method/, { timeoutMs: 10_000, stream: 'stderr' });
  const owned = resources.move();
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    pid: server.pid,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** One process in the foreground, so that it is one pid to kill; all its paths are in its own folder. */
function configuration(work: string, root: string, port: number, limitRate: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `
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
  ${temporary.map((kind) => `${kind}_temp_path ${work}/tmp/${kind};`).join('\n  ')}
  server {
    listen 127.0.0.1:${port};
    root ${root};
    limit_rate ${limitRate};
    location / { default_type application/octet-stream; }
  }
}
`;
}
