import { randomBytes } from 'node:crypto';
import { isFailure } from '../failure.ts';
import type { NfsAttributes, NfsFile } from '../file-system.ts';
import { nfsStatus } from '../status.ts';
import { StateLost } from './client.ts';
import type { Reclaimable, V4Client } from './client.ts';
import type { Operation } from './operation.ts';
import { close, commit, getAttributes, open, putHandle, read, setSize, write } from './operations.ts';
import type { Session } from './session.ts';

const OWNER_BYTES = 16;
/** How often one call opens the file anew before it counts as a failure. */
const MAX_REOPENS = 5;

/** The server's record of an open. */
export interface OpenState {
  stateid: Buffer;
  generation: number;
}

const voidState: readonly number[] = [
  nfsStatus.BAD_STATEID,
  nfsStatus.STALE_STATEID,
  nfsStatus.OLD_STATEID,
  nfsStatus.EXPIRED,
  nfsStatus.ADMIN_REVOKED,
];

/** A name for an open that no other open has. */
export function newOpenOwner(): Buffer {
  return randomBytes(OWNER_BYTES);
}

/** A file that is open by NFSv4.1. When the server has lost the open, it is opened again by its handle. */
export class V4OpenFile implements NfsFile, Reclaimable {
  readonly handle: Buffer;
  readonly #client: V4Client;
  readonly #access: number;
  #state: OpenState | undefined;
  #reopening: Promise<OpenState> | undefined;

  constructor(client: V4Client, handle: Buffer, access: number, state: OpenState) {
    this.#client = client;
    this.handle = handle;
    this.#access = access;
    this.#state = state;
    client.register(this);
  }

  get maxReadBytes(): number {
    return this.#client.limits.maxReadBytes;
  }

  get maxWriteBytes(): number {
    return this.#client.limits.maxWriteBytes;
  }

  async read(offset: number, length: number, replyBuffer?: Buffer): Promise<Buffer> {
    return this.#run((stateid) => read(stateid, offset, length), replyBuffer);
  }

  async write(offset: number, bytes: Uint8Array): Promise<{ written: number; verifier: string }> {
    return this.#run((stateid) => write(stateid, offset, bytes));
  }

  async commit(): Promise<string> {
    const committing = commit();
    await this.#client.run([putHandle(this.handle), committing]);
    return committing.value;
  }

  async resize(size: number): Promise<void> {
    await this.#run((stateid) => setSize(stateid, size));
  }

  async attributes(): Promise<NfsAttributes> {
    const attributes = getAttributes();
    await this.#client.run([putHandle(this.handle), attributes]);
    return attributes.value;
  }

  async reclaim(clientId: bigint, exchange: Session['exchange'], generation: number): Promise<void> {
    const claim = open({ clientId, owner: newOpenOwner(), access: this.#access, claim: { kind: 'reclaim' } });
    const { status } = await exchange([putHandle(this.handle), claim], { keepReply: true });
    // Outside of the grace period it is refused; then the file is opened like any other when it is used next.
    this.#state = status === nfsStatus.OK ? { stateid: claim.value, generation } : undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.unregister(this);
    const state = this.#state;
    this.#state = undefined;
    // A dead server is not waited for: it drops the open when the lease ends.
    if (state === undefined || !this.#client.isConnected) return;
    const closing = this.#client.run([putHandle(this.handle), close(state.stateid)], {
      generation: state.generation,
      keepReply: true,
    });
    await closing.catch(() => undefined);
  }

  async #run<T>(operation: (stateid: Buffer) => Operation<T>, replyBuffer?: Buffer): Promise<T> {
    for (let attempt = 0; ; attempt += 1) {
      const state = await this.#current();
      const wanted = operation(state.stateid);
      try {
        await this.#client.run([putHandle(this.handle), wanted], {
          generation: state.generation,
          replyBuffer,
        });
        return wanted.value;
      } catch (error) {
        if (!(error instanceof StateLost) && !isFailure(error, ...voidState)) throw error;
        if (attempt === MAX_REOPENS) throw error;
        if (this.#state === state) this.#state = undefined;
      }
    }
  }

  async #current(): Promise<OpenState> {
    if (this.#state !== undefined) return this.#state;
    this.#reopening ??= this.#reopen().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }

  async #reopen(): Promise<OpenState> {
    this.#state = await openByHandle(this.#client, this.handle, this.#access);
    return this.#state;
  }
}

/** Opens a file by its handle, so that its name may have changed. @throws NfsFailure STALE when it is gone */
export async function openByHandle(client: V4Client, handle: Buffer, access: number): Promise<OpenState> {
  for (let attempt = 0; ; attempt += 1) {
    const { clientId, generation } = await client.identity();
    const opening = open({ clientId, owner: newOpenOwner(), access, claim: { kind: 'handle' } });
    try {
      await client.run([putHandle(handle), opening], { generation, keepReply: true });
      return { stateid: opening.value, generation };
    } catch (error) {
      if (!(error instanceof StateLost) || attempt === MAX_REOPENS) throw error;
    }
  }
}
