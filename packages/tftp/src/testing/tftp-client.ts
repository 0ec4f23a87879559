import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { encodeRequest, type TftpOption } from '../packets.ts';
import { Receiver, type ReceiverStep } from './receiver.ts';

export interface DownloadOptions {
  port: number;
  path: string;
  mode?: string;
  options?: Record<string, number>;
  /** Milliseconds without a packet before the last one is repeated. Default 1000. */
  timeoutMs?: number;
  /** Default 8. */
  maxRetries?: number;
  /** The port of the client. Default: any. */
  localPort?: number;
}

export interface Download {
  size: number;
  /** Lower-case hex SHA-256 of what came. */
  sha256: string;
  /** What the OACK said. */
  options: Map<string, string>;
  /** DATA packets that came more than once or out of order. */
  strays: number;
}

/** Options as they stand in a request. */
export function optionList(options: Record<string, number>): TftpOption[] {
  return Object.entries(options).map(([name, value]) => ({ name, value: String(value) }));
}

/** Downloads from 127.0.0.1, keeping only the digest. Rejects with what the server said, or when it is silent. */
export async function download(options: DownloadOptions): Promise<Download> {
  const { port, path, mode = 'octet', timeoutMs = 1000, maxRetries = 8 } = options;
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024 });
  socket.bind(options.localPort ?? 0, '127.0.0.1');
  await once(socket, 'listening');
  const request = encodeRequest('read', path, mode, optionList(options.options ?? {}));
  const receiver = new Receiver({ request, maxRetries });
  const hash = createHash('sha256');
  const ended = Promise.withResolvers<void>();
  let size = 0;
  let peer = port;

  const perform = (steps: ReceiverStep[]): void => {
    for (const step of steps) {
      if (step.type === 'send') socket.send(step.packet, peer, '127.0.0.1');
      else if (step.type === 'deliver') {
        hash.update(step.payload);
        size += step.payload.length;
      } else if (step.type === 'failed') ended.reject(new Error(`${path}: ${step.reason}`));
      else ended.resolve();
    }
    timer.refresh();
  };
  const timer = setTimeout(() => perform(receiver.timeout()), timeoutMs);
  socket.on('message', (packet, from) => {
    // The first answer tells the server's port for this transfer (RFC 1350 §4).
    if (peer === port && receiver.state === 'requesting') peer = from.port;
    if (from.port === peer) perform(receiver.receive(packet));
  });
  perform(receiver.start());
  try {
    await ended.promise;
  } finally {
    clearTimeout(timer);
    socket.close();
  }
  return { size, sha256: hash.digest('hex'), options: receiver.options, strays: receiver.strays };
}
