import { CoalescedSync } from '@holdfast/bytes/coalesced-sync';
import { type ChildProcess, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import { Socket } from 'node:net';

/** After so long without work the helper ends. */
const IDLE_MS = 5_000;
const script =
  'while IFS= read -r folder; do if sync --file-system "$folder"; then echo y; else echo n; fi; done';

const barriers = new Map<number, FileSystemBarrier>();

/**
 * Whether everything that was written to the file system of a folder before this call is durable, by syncfs(2). Calls that come while
 * one is under way share the next. False when it could not be told: what was written must then be synced file by file.
 * @param folder a path that holds until this resolves
 */
export function syncFileSystem(folder: string): Promise<boolean> {
  let device: number;
  try {
    device = statSync(folder).dev;
  } catch {
    return Promise.resolve(false);
  }
  let barrier = barriers.get(device);
  if (barrier === undefined) barriers.set(device, (barrier = new FileSystemBarrier()));
  return barrier.sync(folder);
}

/** The syncs of one file system, which those who wait at the same time share. */
class FileSystemBarrier {
  readonly #helper = new SyncHelper();
  readonly #shared = new CoalescedSync(() => this.#syncOnce());
  /** Of whoever called last, who waits for the sync that begins next: it holds as long as that runs. */
  #folder = '';
  #failures = 0;

  async sync(folder: string): Promise<boolean> {
    this.#folder = folder;
    const failures = this.#failures;
    // The kernel tells of a failed write once; it may have been one of those who waited for the next sync by then.
    return (await this.#shared.cover()) && this.#failures === failures;
  }

  async #syncOnce(): Promise<boolean> {
    const isDurable = await this.#helper.sync(this.#folder);
    if (!isDurable) this.#failures += 1;
    return isDurable;
  }
}

/**
 * A shell that runs sync(1), one folder at a time. To fork a process of some 250 MiB takes ten milliseconds, after which each
 * page that it writes to is copied once; the shell does it in one.
 */
class SyncHelper {
  #child: ChildProcess | undefined;
  #answer: ((isDurable: boolean) => void) | undefined;
  #idle: NodeJS.Timeout | undefined;

  sync(folder: string): Promise<boolean> {
    clearTimeout(this.#idle);
    return new Promise((resolve) => {
      this.#answer = (isDurable) => {
        this.#answer = undefined;
        this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
        resolve(isDurable);
      };
      const { stdin } = (this.#child ??= this.#start());
      // Descriptors of this process have another path in that one.
      stdin?.write(`${folder.replace(/^\/proc\/self\//, `/proc/${process.pid}/`)}\n`);
    });
  }

  #start(): ChildProcess {
    const child = spawn('sh', ['-c', script], { stdio: ['pipe', 'pipe', 'ignore'] });
    // What was asked of it is not known; the next question starts another.
    const gone = (): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      this.#answer?.(false);
    };
    child.on('error', gone);
    child.on('exit', gone);
    child.stdin.on('error', gone);
    child.stdout.setEncoding('latin1').on('data', (said: string) => this.#answer?.(said.startsWith('y')));
    child.unref();
    // Pipes to a child are sockets, which the types do not say.
    for (const stream of [child.stdin, child.stdout]) if (stream instanceof Socket) stream.unref();
    return child;
  }

  #end(): void {
    this.#child?.stdin?.end();
    this.#child = undefined;
  }
}
