import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { cp, mkdir, open, readdir, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import type { z } from 'zod';
import { type GaneshaServer, startGanesha } from './ganesha.ts';
import {
  type digested,
  guestCall,
  hostInGuest,
  type listed,
  type printed,
  type startedGanesha,
  type startedTgt,
} from './guest-calls.ts';
import { startTgt, type TgtServer } from './tgt.ts';

type Call = z.output<typeof guestCall>;
type ServerCall = Exclude<Call, { call: 'startGanesha' | 'startTgt' }>;

const MIB = 1024 * 1024;
const loopback = '127.0.0.1';

/** Where a guest calls, see `guestCall`. */
export interface GuestServers extends AsyncDisposable {
  /** As the guest reaches it. */
  readonly url: string;
}

/** Takes calls of a guest. Disposing stops every server that was started by one. */
export async function offerGuestServers(): Promise<GuestServers> {
  await using resources = new AsyncDisposableStack();
  const servers = resources.use(new Servers());
  const listener = createServer((request, response) => {
    const answering = async (): Promise<unknown> => {
      const body: unknown = JSON.parse(await text(request));
      return servers.answer(guestCall.parse(body));
    };
    answering().then(
      (answer) => response.end(JSON.stringify(answer)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  listener.listen(0, loopback);
  await once(listener, 'listening');
  resources.defer(async () => {
    listener.closeAllConnections();
    await listener[Symbol.asyncDispose]();
  });
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('The listening socket has no port.');
  const owned = resources.move();
  return {
    url: `http://${hostInGuest}:${address.port}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

class Servers implements AsyncDisposable {
  readonly #shares = new Map<string, GaneshaServer>();
  readonly #targets = new Map<string, TgtServer>();
  #count = 0;

  async answer(call: Call): Promise<unknown> {
    this.#count += 1;
    const server = String(this.#count);
    if (call.call === 'startGanesha') {
      const { call: _, ...options } = call;
      const share = await startGanesha(options);
      this.#shares.set(server, share);
      const { port, mountPort, exportPath } = share;
      const host = inGuest(share.host);
      return { server, host, port, mountPort, exportPath } satisfies z.input<typeof startedGanesha>;
    }
    if (call.call === 'startTgt') {
      const { sizeMiB, chap, parameters } = call;
      const started = await startTgt({ sizeBytes: sizeMiB * MIB, chap, parameters });
      this.#targets.set(server, started);
      const { port, target, lun } = started;
      return { server, host: hostInGuest, port, target, lun } satisfies z.input<typeof startedTgt>;
    }
    return this.#change(call);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using all = new AsyncDisposableStack();
    for (const server of [...this.#shares.values(), ...this.#targets.values()]) all.use(server);
  }

  async #change(call: ServerCall): Promise<unknown> {
    switch (call.call) {
      case 'kill':
        await this.#either(call.server).kill();
        return {};
      case 'restart':
        await this.#either(call.server).restart();
        return {};
      case 'freeze':
        process.kill(this.#pid(call.server), 'SIGSTOP');
        return {};
      case 'thaw':
        process.kill(this.#pid(call.server), 'SIGCONT');
        return {};
      case 'stop': {
        await this.#either(call.server)[Symbol.asyncDispose]();
        this.#shares.delete(call.server);
        this.#targets.delete(call.server);
        return {};
      }
      case 'renew': {
        const { root } = this.#share(call.server);
        await rename(root, `${root}-old`);
        await cp(`${root}-old`, root, { recursive: true });
        return {};
      }
      case 'addLun':
        return this.#addLun(call);
      case 'administerTgt':
        return { text: await this.#target(call.server).admin(...call.args) } satisfies z.input<
          typeof printed
        >;
      default:
        return onDisk(call, path.join(this.#share(call.server).root, call.path));
    }
  }

  async #addLun({ server, lun, sizeMiB }: Extract<Call, { call: 'addLun' }>): Promise<unknown> {
    const target = this.#target(server);
    const image = `${target.image}-${lun}`;
    await using file = await open(image, 'wx');
    await file.truncate(sizeMiB * MIB);
    const unit = ['--tid', '1', '--lun', String(lun), '-b', image, '--bstype', 'rdwr', '--blocksize', '512'];
    await target.admin('--lld', 'iscsi', '--op', 'new', '--mode', 'logicalunit', ...unit);
    return {};
  }

  #share(server: string): GaneshaServer {
    const share = this.#shares.get(server);
    if (share === undefined) throw new Error(`There is no NFS server ${server}.`);
    return share;
  }

  #target(server: string): TgtServer {
    const target = this.#targets.get(server);
    if (target === undefined) throw new Error(`There is no iSCSI server ${server}.`);
    return target;
  }

  #either(server: string): GaneshaServer | TgtServer {
    return this.#targets.get(server) ?? this.#share(server);
  }

  #pid(server: string): number {
    return this.#targets.get(server)?.pid() ?? this.#share(server).pid;
  }
}

function inGuest(host: string): string {
  return host === loopback ? hostInGuest : host;
}

type DiskCall = Extract<Call, { call: 'plantSymlink' | 'tamper' | 'seed' | 'list' | 'digest' }>;

async function onDisk(call: DiskCall, place: string): Promise<object> {
  if (call.call === 'list') return { names: await readdir(place) } satisfies z.input<typeof listed>;
  if (call.call === 'digest') {
    const hash = createHash('sha256');
    await pipeline(createReadStream(place), hash);
    return { sha256: hash.digest('hex') } satisfies z.input<typeof digested>;
  }
  await changeOnDisk(call, place);
  return {};
}

async function changeOnDisk(
  call: Extract<DiskCall, { call: 'plantSymlink' | 'tamper' | 'seed' }>,
  place: string,
): Promise<void> {
  switch (call.call) {
    case 'plantSymlink':
      await mkdir(path.dirname(place), { recursive: true });
      await symlink(call.target, place);
      return;
    case 'tamper': {
      const { ctimeNs } = await stat(place, { bigint: true });
      // Until the clock of the file system has gone on: older kernels stamp with the grain of a tick.
      do await writeFile(place, Buffer.from(call.base64, 'base64'));
      while ((await stat(place, { bigint: true })).ctimeNs === ctimeNs);
      return;
    }
    case 'seed':
      await mkdir(place, { recursive: true });
      for (const name of call.names) await writeFile(path.join(place, name), 'x');
  }
}
