import { makeFolderDurably } from '@holdfast/bytes/durable-folder';
import { fileURLToPath } from 'node:url';
import { startHolder } from '../../holder/holder-process.ts';
import { LiveHolder } from '../../holder/live-holder.ts';
import type { Caller } from '../../iscsi/calls/caller.ts';
import type { NfsSettings } from '../config.ts';
import type { ShareStart } from './share-start.ts';

const holderProgram = fileURLToPath(new URL('holder-main.ts', import.meta.url));
/** For unmounting, and for programs to end. */
const goingDownMs = 10_000;

export interface ShareHolderOptions {
  /** A folder under the hub's data directory. Each holder mounts on it for itself; nobody else sees anything there. */
  mountRoot: string;
  /** Milliseconds for a mount, and without a sign of life of the server. */
  timeLimitMs: number;
}

/** The process that has a share mounted: started when it is first needed, and again after it has ended. */
export class ShareHolder implements AsyncDisposable {
  readonly #start: ShareStart;
  readonly #holder: LiveHolder;

  constructor(settings: NfsSettings, { mountRoot, timeLimitMs }: ShareHolderOptions) {
    const { server, exportPath, version, kernelVersion, port } = settings;
    this.#start = {
      settings: {
        server,
        exportPath,
        version,
        kernelVersion,
        port,
        mountOptions: [...settings.mountOptions],
      },
      mountPoint: mountRoot,
      timeLimitMs,
    };
    this.#holder = new LiveHolder({
      what: 'The share',
      begin: async () => {
        await makeFolderDurably(mountRoot, 0o700);
        return startHolder({
          program: holderProgram,
          folder: '/',
          patienceMs: goingDownMs,
          mayLinger: true,
          onSaid: () => {},
        });
      },
      mayOverlap: true,
    });
  }

  /** @throws HoldfastError why the share cannot be mounted, see `mountError`; `cancelled`, `shutting_down` */
  async caller(signal?: AbortSignal): Promise<Caller> {
    return this.#holder.caller(this.#start, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.dispose();
  }
}
