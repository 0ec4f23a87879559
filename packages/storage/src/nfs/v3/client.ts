import { HoldfastError } from '@holdfast/contract/errors';
import { NfsFailure } from '../failure.ts';
import type { RpcLink } from '../rpc/link.ts';
import { isPossibleStatus, isSuspicious, nfsStatus } from '../status.ts';
import { GarbledReply } from '../xdr/garbled.ts';
import type { XdrReader } from '../xdr/reader.ts';
import type { XdrWriter } from '../xdr/writer.ts';

const PROGRAM = 100003;
const VERSION = 3;
/** Calls under way at once; NFSv3 has no slots that would bound them. */
const MAX_CALLS = 24;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 2000;

/** Numbers of procedures (RFC 1813 §3.3). */
const procedures = {
  NULL: 0,
  GETATTR: 1,
  SETATTR: 2,
  LOOKUP: 3,
  READLINK: 5,
  READ: 6,
  WRITE: 7,
  CREATE: 8,
  MKDIR: 9,
  REMOVE: 12,
  RMDIR: 13,
  RENAME: 14,
  LINK: 15,
  READDIRPLUS: 17,
  FSSTAT: 18,
  FSINFO: 19,
  COMMIT: 21,
} as const;

/** One call, with the way to read its results after the status OK. */
export interface V3Call<T> {
  procedure: keyof typeof procedures;
  write: (writer: XdrWriter) => void;
  read: (reader: XdrReader) => T;
  replyBuffer?: Buffer | undefined;
}

/** Calls procedures of NFSv3, and asks again while the server is busy. */
export class V3Client {
  readonly #link: RpcLink;
  readonly #waiting: (() => void)[] = [];
  #calls = 0;

  constructor(link: RpcLink) {
    this.#link = link;
  }

  /** @throws RpcRefused when the server has no NFSv3; HoldfastError `backend_unavailable` */
  async ping(): Promise<void> {
    const { NULL } = procedures;
    await this.#link.call({ program: PROGRAM, version: VERSION, procedure: NULL }, () => undefined);
  }

  /**
   * Calls a procedure. After a break of the connection it is sent again, and may then be done twice.
   * @throws NfsFailure; HoldfastError `backend_unavailable`
   */
  async call<T>(call: V3Call<T>): Promise<T> {
    await this.#enter();
    try {
      return await this.#patiently(call);
    } finally {
      this.#calls -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #enter(): Promise<void> {
    while (this.#calls >= MAX_CALLS) await new Promise<void>((go) => this.#waiting.push(go));
    this.#calls += 1;
  }

  async #patiently<T>({ procedure, write, read, replyBuffer }: V3Call<T>): Promise<T> {
    const started = performance.now();
    let wasResent = false;
    let suspect = 0;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const request = { program: PROGRAM, version: VERSION, procedure: procedures[procedure], write };
      const answer = await this.#link.call(
        { ...request, ...(replyBuffer === undefined ? {} : { replyBuffer }) },
        (reader) => readResult(reader, read),
      );
      wasResent ||= answer.wasResent;
      const result = answer.value;
      if (result.isOk) return result.value;
      if (isSuspicious(result.status) && result.status !== suspect) {
        suspect = result.status;
        wasResent = true;
        continue;
      }
      // NFS3ERR_JUKEBOX: come again later.
      if (result.status !== nfsStatus.DELAY) throw new NfsFailure(result.status, procedure, wasResent);
      if (performance.now() + pause > started + this.#link.options.timeLimitMs) {
        const text = 'The NFS server asks to wait (JUKEBOX), and did so for too long. Try again later.';
        throw new HoldfastError('backend_unavailable', text);
      }
      await this.#link.pause(pause);
    }
  }
}

type Result<T> = { isOk: true; value: T } | { isOk: false; status: number };

function readResult<T>(reader: XdrReader, read: (reader: XdrReader) => T): Result<T> {
  const status = reader.u32();
  if (!isPossibleStatus(status)) throw new GarbledReply(`${status} is no status`);
  if (status !== nfsStatus.OK) return { isOk: false, status };
  const value = read(reader);
  reader.end();
  return { isOk: true, value };
}
