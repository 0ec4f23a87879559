import type { NfsFileSystem } from './file-system.ts';
import { RpcLink } from './rpc/link.ts';
import type { RpcCredential } from './rpc/message.ts';
import { VersionMissing } from './v4/client.ts';
import { V3FileSystem } from './v3/file-system.ts';
import { V4FileSystem } from './v4/file-system.ts';

export interface ConnectorOptions {
  server: string;
  exportPath: string;
  port: number;
  localPort?: number | undefined;
  /** Speak NFSv3 at once. Otherwise 4.1, and 3 when the server does not have it. */
  version: '4.1' | '3';
  /** Of the MOUNT protocol, which NFSv3 needs. Default: asked of the portmapper. */
  mountPort?: number | undefined;
  credential: RpcCredential;
  /** Milliseconds without any sign of life after which a call is given up. */
  timeLimitMs: number;
  ownerId: string;
}

/** An export that is connected to when it is first used, with the newest version that the server has. */
export class Connector implements AsyncDisposable {
  readonly options: ConnectorOptions;
  readonly #link: RpcLink;
  #fileSystem: NfsFileSystem | undefined;
  #choosing: Promise<NfsFileSystem> | undefined;

  constructor(options: ConnectorOptions) {
    this.options = options;
    this.#link = new RpcLink(options);
  }

  /** Whether a call would find a connection at this moment. */
  get isConnected(): boolean {
    return this.#link.isConnected;
  }

  /** Makes a TCP connection, if there is none. @throws HoldfastError `backend_unavailable` */
  async connect(): Promise<void> {
    await this.#link.connect();
  }

  /** @throws HoldfastError `backend_unavailable`; RpcRefused when the server speaks neither version, or refuses AUTH_SYS */
  async fileSystem(): Promise<NfsFileSystem> {
    if (this.#fileSystem !== undefined) return this.#fileSystem;
    this.#choosing ??= this.#choose().finally(() => {
      this.#choosing = undefined;
    });
    return this.#choosing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#fileSystem?.[Symbol.asyncDispose]();
    await this.#link[Symbol.asyncDispose]();
  }

  async #choose(): Promise<NfsFileSystem> {
    if (this.options.version === '4.1') {
      const newest = new V4FileSystem(this.#link, this.options);
      try {
        await newest.authenticate();
        this.#fileSystem = newest;
        return newest;
      } catch (error) {
        if (!(error instanceof VersionMissing)) throw error;
      }
    }
    const oldest = new V3FileSystem(this.#link, this.options);
    await oldest.authenticate();
    this.#fileSystem = oldest;
    return oldest;
  }
}
