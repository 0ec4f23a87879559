import type { XdrReader } from '../xdr/reader.ts';
import type { XdrWriter } from '../xdr/writer.ts';

/** One operation of a compound (RFC 8881 §16.2), which keeps its own result. */
export class Operation<T> {
  readonly code: number;
  readonly name: string;
  readonly #write: (writer: XdrWriter) => void;
  readonly #read: (reader: XdrReader) => T;
  #result: { value: T } | undefined;

  constructor(
    code: number,
    name: string,
    write: (writer: XdrWriter) => void,
    read: (reader: XdrReader) => T,
  ) {
    this.code = code;
    this.name = name;
    this.#write = write;
    this.#read = read;
  }

  write(writer: XdrWriter): void {
    writer.u32(this.code);
    this.#write(writer);
  }

  /** Takes in the result, which follows the status OK. @throws GarbledReply */
  read(reader: XdrReader): void {
    this.#result = { value: this.#read(reader) };
  }

  /** Before it is sent again. */
  forget(): void {
    this.#result = undefined;
  }

  /** Whether it was answered with OK. */
  get isDone(): boolean {
    return this.#result !== undefined;
  }

  /** What it was answered with. Only once it is done. */
  get value(): T {
    if (this.#result === undefined) throw new Error(`${this.name} has no result`);
    return this.#result.value;
  }
}
