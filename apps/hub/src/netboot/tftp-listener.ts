import type { Logger } from 'pino';
import { createTftpServer, type TftpServer } from '@holdfast/tftp/server';
import type { TftpFiles } from './tftp.ts';

/** Clients get this long to finish when the hub stops, in milliseconds. */
const GRACE_MS = 10_000;

export interface TftpListenerOptions {
  files: TftpFiles;
  logger: Logger;
  /** Where to listen; null: not at all. */
  listen: { host: string; port: number; singlePort: boolean } | null;
}

/** The TFTP server of the hub, when it is configured. */
export class TftpListener implements AsyncDisposable {
  readonly #options: TftpListenerOptions;
  #server: TftpServer | null = null;

  constructor(options: TftpListenerOptions) {
    this.#options = options;
  }

  /** Where it listens; null when it does not. */
  get address(): { host: string; port: number } | null {
    return this.#server?.address ?? null;
  }

  async start(): Promise<void> {
    const { files, logger, listen } = this.#options;
    if (listen === null) return;
    this.#server = await createTftpServer({
      ...listen,
      open: (request) => files.open(request),
      hooks: {
        ended: ({ path, client }, outcome, error) => {
          if (outcome === 'failed')
            logger.error({ err: error, path, client: client.address }, 'the TFTP transfer failed');
          else if (outcome === 'timeout')
            logger.info({ path, client: client.address }, 'a TFTP client stopped answering');
        },
        refused: ({ path, client }, error) => {
          logger.info({ path, client: client.address, code: error.code }, error.message);
        },
        problem: (error) => {
          logger.warn({ err: error }, 'the TFTP server met a problem');
        },
      },
    });
  }

  /** Refuses new requests and waits for running transfers, 10 s at most. */
  async drain(): Promise<void> {
    await this.#server?.close({ graceMs: GRACE_MS });
    this.#server = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.close({ graceMs: 0 });
    this.#server = null;
  }
}
