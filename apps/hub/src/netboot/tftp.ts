import { parseBackendPath, type BackendPath } from '@holdfast/bytes/backend-path';
import { HoldfastError, isHoldfastError } from '@holdfast/contract/errors';
import type { OpenFile } from '@holdfast/storage/backend';
import type { TftpRequest } from '@holdfast/tftp/server-options';
import type { TftpSource, TransferOutcome } from '@holdfast/tftp/source';
import type { Library } from '../library/library.ts';
import type { Settings } from '../settings.ts';
import type { Transfers } from '../transfers/transfers.ts';
import type { Access } from '../access/access.ts';
import { installedFirmware } from './firmware.ts';
import type { Netboot } from './netboot.ts';
import { SequentialCheck } from './sequential-check.ts';

export interface TftpFilesOptions {
  access: Access;
  library: Library;
  netboot: Netboot;
  settings: Settings;
  transfers: Transfers;
  /** The hub over HTTP as a client reaches it, without a trailing slash. */
  serverFor: (client: string) => string;
}

/** What TFTP clients may read: generated scripts, the boot backend, and iPXE where the backend has none. */
export class TftpFiles {
  readonly #options: TftpFilesOptions;

  constructor(options: TftpFilesOptions) {
    this.#options = options;
  }

  /** @throws HoldfastError `forbidden`, `invalid_path`, `file_not_found`, `no_boot_backend` … */
  async open({ path: requested, client }: TftpRequest): Promise<TftpSource> {
    const address = client.address.replace(/^::ffff:/, '');
    const { access, netboot } = this.#options;
    if (access.admitAnonymous('boot', undefined, address) === null) {
      throw new HoldfastError(
        'forbidden',
        `Machines at ${address} may not boot from here: see anonymous_boot_networks.`,
      );
    }
    // Windows' and some PXE clients write backslashes.
    const path = parseBackendPath(requested.replaceAll('\\', '/'));
    try {
      return await this.#openFile(path, address);
    } catch (error) {
      if (!isHoldfastError(error, 'file_not_found') && !isHoldfastError(error, 'no_boot_backend'))
        throw error;
      const script = await netboot.generated(path, {
        ip: address,
        server: this.#options.serverFor(address),
        via: 'tftp',
      });
      if (script !== null) return this.#fromMemory(path, address, Buffer.from(script));
      const firmware = await installedFirmware(path);
      if (firmware === null) throw error;
      return this.#fromMemory(path, address, firmware);
    }
  }

  async #openFile(path: BackendPath, address: string): Promise<TftpSource> {
    const { library, settings, transfers } = this.#options;
    const backendId = settings.current.default_boot_backend_id;
    if (backendId === null) throw new HoldfastError('no_boot_backend', 'No boot backend is set.');
    const { file, sha256 } = await library.open(backendId, path);
    const check =
      file.fd === undefined && sha256 !== null ? new SequentialCheck(file.entry.size, sha256) : null;
    const { size } = file.entry;
    const stream = transfers.open({
      client: address,
      actor: 'anonymous',
      backendId,
      path,
      protocol: 'tftp',
      size,
    });
    return {
      size,
      readInto: async (buffer, position) => {
        const bytes = await readInto(file, buffer, position);
        check?.note(buffer.subarray(0, bytes), position);
        return bytes;
      },
      pace: (bytes) => stream.pace(bytes),
      delivered: (bytes) => {
        stream.sent(bytes);
      },
      close: async (outcome, error) => {
        stream.close(streamOutcome(outcome), error);
        await file[Symbol.asyncDispose]();
      },
    };
  }

  /** A small generated text, or firmware: paced and followed like a file. */
  #fromMemory(path: string, address: string, bytes: Uint8Array): TftpSource {
    const backendId = this.#options.settings.current.default_boot_backend_id ?? '';
    const size = bytes.byteLength;
    const stream = this.#options.transfers.open({
      client: address,
      actor: 'anonymous',
      backendId,
      path,
      protocol: 'tftp',
      size,
    });
    return {
      size,
      readInto: async (buffer, position) => {
        const part = bytes.subarray(position, position + buffer.byteLength);
        buffer.set(part);
        return part.byteLength;
      },
      pace: (count) => stream.pace(count),
      delivered: (count) => {
        stream.sent(count);
      },
      close: (outcome, error) => {
        stream.close(streamOutcome(outcome), error);
      },
    };
  }
}

/** Positional reading, also from backends that only stream: each call is then one range request of the buffer's size. */
async function readInto(file: OpenFile, buffer: Uint8Array, position: number): Promise<number> {
  if (file.readInto !== undefined) return file.readInto(buffer, position);
  const end = Math.min(file.entry.size, position + buffer.byteLength);
  let filled = 0;
  if (position >= end) return 0;
  for await (const chunk of file.stream({ start: position, end })) {
    buffer.set(chunk, filled);
    filled += chunk.byteLength;
  }
  return filled;
}

function streamOutcome(outcome: TransferOutcome): 'complete' | 'aborted' | 'failed' {
  switch (outcome) {
    case 'completed':
      return 'complete';
    case 'failed':
      return 'failed';
    case 'probed':
    case 'aborted':
    case 'timeout':
      return 'aborted';
    default:
      return outcome satisfies never;
  }
}
