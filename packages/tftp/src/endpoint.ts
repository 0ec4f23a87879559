import { createSocket, type Socket } from 'node:dgram';
import { lookup as lookupName, type LookupOneOptions } from 'node:dns';
import { isIP, isIPv6 } from 'node:net';

/** Where a packet came from, or goes to. */
export interface Client {
  address: string;
  port: number;
}

/** Told when the pieces of a packet are free again; with an error the packet was not sent. */
export type SendCallback = (error: Error | null) => void;

/** The way to one client. */
export interface Endpoint {
  /** Sends one packet made of pieces. Packets leave in order; the pieces must not change until they have left. */
  send(pieces: readonly Uint8Array[], callback?: SendCallback): void;
  /** No packets come in any more, nothing is sent any more. */
  close(): void;
}

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string, family: number) => void;

/** Numeric addresses need no resolver, and every send to one would ask it. */
function lookup(host: string, options: LookupOneOptions, callback: LookupCallback): void {
  const family = isIP(host);
  if (family === 0) lookupName(host, options, callback);
  else callback(null, host, family);
}

/** A UDP socket bound to a numeric address. Rejects with the system's error. */
export async function bindSocket(host: string, port: number): Promise<Socket> {
  const socket = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', lookup });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once('error', reject);
  socket.bind({ address: host, port, exclusive: true }, resolve);
  try {
    await promise;
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.off('error', reject);
  return socket;
}

/** A way to a client over a socket that all transfers share. */
export function sharedEndpoint(socket: Socket, client: Client): Endpoint {
  return {
    send: (pieces, callback) => socket.send(pieces, client.port, client.address, callback),
    close: () => {},
  };
}

export interface OwnEndpointOptions {
  host: string;
  client: Client;
  onPacket: (packet: Uint8Array) => void;
  /** The client's port is closed, or the socket broke. */
  onError: (error: Error) => void;
}

/**
 * A socket of its own for one client, as RFC 1350 §4 has it. It is connected: the kernel then lets in only the
 * packets of this client, reports a closed port, and needs no route look-up for each packet.
 */
export async function ownEndpoint(options: OwnEndpointOptions): Promise<Endpoint> {
  const { client, onPacket, onError } = options;
  const socket = await bindSocket(options.host, 0);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on('error', (error) => {
    reject(error);
    onError(error);
  });
  socket.connect(client.port, client.address, resolve);
  try {
    await promise;
  } catch (error) {
    socket.close();
    throw error;
  }
  socket.on('message', onPacket);
  return {
    send: (pieces, callback) => socket.send(pieces, callback),
    close: () => {
      socket.removeAllListeners('message');
      socket.close();
    },
  };
}
