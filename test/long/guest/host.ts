import type { z } from 'zod';
import {
  digested,
  type GuestCall,
  guestCallsVariable,
  listed,
  printed,
  startedGanesha,
  startedTgt,
} from '../../support/guest-calls.ts';

/** Asks the machine that this guest runs on. Throws with what it says when it fails there. */
async function ask(call: GuestCall): Promise<unknown> {
  const url = process.env[guestCallsVariable];
  if (url === undefined)
    throw new Error('This test runs in a guest: start it by `npm run test:long -- kernel`.');
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(call) });
  const body = await response.text();
  if (!response.ok) throw new Error(`The host could not carry out ${call.call}: ${body}`);
  return JSON.parse(body);
}

/** A server on the host. Disposing stops it. */
class HostServer implements AsyncDisposable {
  readonly server: string;

  constructor(server: string) {
    this.server = server;
  }

  /** `kill -9`. */
  async kill(): Promise<void> {
    await ask({ call: 'kill', server: this.server });
  }

  /** Starts a killed one again, on the same port. */
  async restart(): Promise<void> {
    await ask({ call: 'restart', server: this.server });
  }

  /** Stops it in its tracks: it takes connections, and answers nothing. */
  async freeze(): Promise<void> {
    await ask({ call: 'freeze', server: this.server });
  }

  async thaw(): Promise<void> {
    await ask({ call: 'thaw', server: this.server });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ask({ call: 'stop', server: this.server });
  }
}

export type HostShareOptions = Partial<Omit<Extract<GuestCall, { call: 'startGanesha' }>, 'call'>>;

/** An nfs-ganesha on the host. Paths are below the exported folder. */
export class HostShare extends HostServer {
  readonly address: z.output<typeof startedGanesha>;

  private constructor(address: z.output<typeof startedGanesha>) {
    super(address.server);
    this.address = address;
  }

  static async start(options: HostShareOptions = {}): Promise<HostShare> {
    const answer = await ask({ call: 'startGanesha', protocols: '4', ...options });
    return new HostShare(startedGanesha.parse(answer));
  }

  async plantSymlink(path: string, target: string): Promise<void> {
    await ask({ call: 'plantSymlink', server: this.server, path, target });
  }

  async tamper(path: string, bytes: Uint8Array): Promise<void> {
    await ask({ call: 'tamper', server: this.server, path, base64: Buffer.from(bytes).toString('base64') });
  }

  async seed(path: string, names: readonly string[]): Promise<void> {
    await ask({ call: 'seed', server: this.server, path, names: [...names] });
  }

  async list(path: string): Promise<string[]> {
    return listed.parse(await ask({ call: 'list', server: this.server, path })).names;
  }

  /** Lower-case hex SHA-256 of a file as the server has it. */
  async digest(path: string): Promise<string> {
    return digested.parse(await ask({ call: 'digest', server: this.server, path })).sha256;
  }

  /** Another folder with the same files in the place of the exported one; to be called while the server is down. */
  async renew(): Promise<void> {
    await ask({ call: 'renew', server: this.server });
  }
}

/** A tgt on the host. */
export class HostTarget extends HostServer {
  readonly address: z.output<typeof startedTgt>;

  private constructor(address: z.output<typeof startedTgt>) {
    super(address.server);
    this.address = address;
  }

  static async start(options: Omit<Extract<GuestCall, { call: 'startTgt' }>, 'call'>): Promise<HostTarget> {
    return new HostTarget(startedTgt.parse(await ask({ call: 'startTgt', ...options })));
  }

  async addLun(lun: number, sizeMiB: number): Promise<void> {
    await ask({ call: 'addLun', server: this.server, lun, sizeMiB });
  }

  /** Runs tgtadm; resolves to what it prints. */
  async administer(...args: string[]): Promise<string> {
    return printed.parse(await ask({ call: 'administerTgt', server: this.server, args })).text;
  }
}
