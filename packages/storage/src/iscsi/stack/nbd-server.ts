import { isHoldfastError } from '@holdfast/contract/errors';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { SocketReader } from './socket-reader.ts';
import {
  blockSizeInfo,
  decodeOption,
  decodeRequest,
  exportFields,
  exportInfo,
  nbd,
  OPTION_HEADER_BYTES,
  optionReply,
  REQUEST_BYTES,
  simpleReply,
} from './nbd-protocol.ts';
import type { NbdRequest } from './nbd-protocol.ts';

/** What is exported: reads and writes are whole blocks. */
export interface BlockDevice {
  readonly sizeBytes: number;
  readonly blockBytes: number;
  readonly isReadOnly: boolean;
  read(position: number, length: number): Promise<Buffer>;
  write(position: number, data: Uint8Array): Promise<void>;
  /** Writes zeroes. */
  zero(position: number, length: number): Promise<void>;
  flush(): Promise<void>;
}

const errno = { EPERM: 1, EIO: 5, EINVAL: 22, ENOSPC: 28 };
const maxOptionBytes = 64 * 1024;

/** Serves a block device to local programs by a socket file. */
export class NbdServer implements AsyncDisposable {
  readonly #device: BlockDevice;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(device: BlockDevice) {
    this.#device = device;
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  /** @param path of a socket file that is not there yet */
  static async listen(device: BlockDevice, path: string): Promise<NbdServer> {
    const server = new NbdServer(device);
    server.#server.listen(path);
    await once(server.#server, 'listening');
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #serve(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    // A client that goes away ends its conversation; there is nobody left to tell.
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    const reader = new SocketReader(socket);
    try {
      if (await this.#shakeHands(socket, reader)) await this.#transmit(socket, reader);
    } finally {
      socket.destroySoon();
    }
  }

  get #flags(): number {
    const { hasFlags, readOnly, sendFlush, sendFua, sendWriteZeroes, multiConnection } =
      nbd.transmissionFlags;
    // Every connection ends at the same cache and the same flush: several of them are safe.
    return (
      hasFlags |
      sendFlush |
      sendFua |
      sendWriteZeroes |
      multiConnection |
      (this.#device.isReadOnly ? readOnly : 0)
    );
  }

  /** Resolves to whether the transmission phase begins. */
  async #shakeHands(socket: Socket, reader: SocketReader): Promise<boolean> {
    const { fixedNewstyle, noZeroes } = nbd.handshakeFlags;
    const flags = Buffer.alloc(2);
    flags.writeUInt16BE(fixedNewstyle | noZeroes);
    socket.write(Buffer.concat([nbd.initMagic, flags]));
    const clientFlags = (await reader.take(4))?.readUInt32BE();
    if (clientFlags === undefined) return false;
    for (;;) {
      const header = await reader.take(OPTION_HEADER_BYTES);
      const option = header === undefined ? undefined : decodeOption(header);
      if (option === undefined || option.length > maxOptionBytes) return false;
      if ((await reader.take(option.length)) === undefined) return false;
      switch (option.option) {
        case nbd.option.exportName: {
          const zeroes = Buffer.alloc((clientFlags & noZeroes) === 0 ? 124 : 0);
          socket.write(Buffer.concat([exportFields(this.#device.sizeBytes, this.#flags), zeroes]));
          return true;
        }
        case nbd.option.info:
        case nbd.option.go:
          socket.write(
            optionReply(option.option, nbd.reply.info, exportInfo(this.#device.sizeBytes, this.#flags)),
          );
          socket.write(optionReply(option.option, nbd.reply.info, blockSizeInfo(this.#device.blockBytes)));
          socket.write(optionReply(option.option, nbd.reply.ack));
          if (option.option === nbd.option.go) return true;
          break;
        case nbd.option.abort:
          socket.write(optionReply(option.option, nbd.reply.ack));
          return false;
        default:
          socket.write(optionReply(option.option, nbd.reply.unsupported));
      }
    }
  }

  async #transmit(socket: Socket, reader: SocketReader): Promise<void> {
    for (;;) {
      const bytes = await reader.take(REQUEST_BYTES);
      const request = bytes === undefined ? undefined : decodeRequest(bytes);
      if (request === undefined || request.command === nbd.command.disconnect) return;
      const data =
        request.command === nbd.command.write ? await reader.take(request.length) : Buffer.alloc(0);
      if (data === undefined) return;
      // Not awaited: the client has many requests under way, and every reply carries its cookie.
      void this.#answer(socket, request, data);
    }
  }

  async #answer(socket: Socket, request: NbdRequest, data: Buffer): Promise<void> {
    let error = 0;
    let read: Buffer | undefined;
    try {
      read = await this.#carryOut(request, data);
    } catch (problem) {
      error = errnoFor(problem);
    }
    if (!socket.writable) return;
    socket.cork();
    socket.write(simpleReply(request.cookie, error));
    if (read !== undefined) socket.write(read);
    socket.uncork();
  }

  async #carryOut(
    { command, flags, position, length }: NbdRequest,
    data: Buffer,
  ): Promise<Buffer | undefined> {
    switch (command) {
      case nbd.command.read:
        return this.#device.read(position, length);
      case nbd.command.write:
        await this.#device.write(position, data);
        if ((flags & nbd.commandFlags.fua) !== 0) await this.#device.flush();
        return undefined;
      case nbd.command.writeZeroes:
        await this.#device.zero(position, length);
        if ((flags & nbd.commandFlags.fua) !== 0) await this.#device.flush();
        return undefined;
      case nbd.command.flush:
        await this.#device.flush();
        return undefined;
      default:
        throw Object.assign(new Error('a command that was not offered'), { code: 'EINVAL' });
    }
  }
}

function errnoFor(error: unknown): number {
  if (isHoldfastError(error, 'storage_full')) return errno.ENOSPC;
  if (isHoldfastError(error, 'read_only')) return errno.EPERM;
  if (isHoldfastError(error, 'range_not_satisfiable')) return errno.EINVAL;
  return error instanceof Error && 'code' in error && error.code === 'EINVAL' ? errno.EINVAL : errno.EIO;
}
