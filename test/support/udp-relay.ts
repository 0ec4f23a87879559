import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface UdpRelayOptions {
  /** The port of 127.0.0.1 that packets go to. */
  port: number;
  /** The same seed makes the same choices, in the order in which packets come. */
  seed: number;
  /** Share of packets, 0–1, that never arrive. Default 0. */
  loss?: number;
  /** Asked for each packet besides: true loses it. */
  lose?: () => boolean;
  /** Share of packets that arrive twice. Default 0. */
  duplicate?: number;
  /** Share of packets that are held back for up to `delayMs`, so that later ones overtake them. Default 0. */
  reorder?: number;
  /** Milliseconds. Default 5. */
  delayMs?: number;
}

/** A relay between UDP clients and a server, both on 127.0.0.1. */
export interface UdpRelay extends AsyncDisposable {
  /** Where clients send to. */
  readonly port: number;
  /** What it did so far, over both directions. */
  readonly counts: { passed: number; lost: number; duplicated: number; held: number };
}

/** The two sockets that stand for one client towards the server, and for the server towards that client. */
interface Flow {
  towardsServer: Socket;
  towardsClient: Socket;
  /** Where the server answers from: a TFTP server takes a new port for each transfer. */
  serverPort: number;
}

/** Starts a relay that loses, repeats and reorders packets; their bytes are never changed. */
export async function startUdpRelay(options: UdpRelayOptions): Promise<UdpRelay> {
  const { port, seed, loss = 0, duplicate = 0, reorder = 0, delayMs = 5 } = options;
  const random = seededRandom(seed);
  const counts = { passed: 0, lost: 0, duplicated: 0, held: 0 };
  const held = new Set<NodeJS.Timeout>();
  const flows = new Map<number, Promise<Flow>>();
  const sockets = new Set<Socket>();
  let closed = false;

  const listen = async (): Promise<Socket> => {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024, sendBufferSize: 1024 * 1024 });
    sockets.add(socket);
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return socket;
  };

  const pass = (packet: Buffer, socket: Socket, to: number): void => {
    if (random() < loss || options.lose?.() === true) {
      counts.lost += 1;
      return;
    }
    const copies = random() < duplicate ? 2 : 1;
    counts.duplicated += copies - 1;
    for (let copy = 0; copy < copies; copy += 1) {
      counts.passed += 1;
      if (random() >= reorder) {
        socket.send(packet, to, '127.0.0.1');
        continue;
      }
      counts.held += 1;
      const timer = setTimeout(() => {
        held.delete(timer);
        if (!closed) socket.send(packet, to, '127.0.0.1');
      }, random() * delayMs);
      held.add(timer);
    }
  };

  const openFlow = async (clientPort: number): Promise<Flow> => {
    const [towardsServer, towardsClient] = await Promise.all([listen(), listen()]);
    const flow: Flow = { towardsServer, towardsClient, serverPort: port };
    towardsServer.on('message', (packet, from) => {
      flow.serverPort = from.port;
      pass(packet, towardsClient, clientPort);
    });
    towardsClient.on('message', (packet) => pass(packet, towardsServer, flow.serverPort));
    return flow;
  };

  const front = await listen();
  front.on('message', (packet: Buffer, from: RemoteInfo) => {
    const flow = flows.get(from.port) ?? openFlow(from.port);
    flows.set(from.port, flow);
    void flow.then(({ towardsServer }) => {
      if (!closed) pass(packet, towardsServer, port);
    });
  });

  return {
    port: front.address().port,
    counts,
    async [Symbol.asyncDispose]() {
      closed = true;
      await Promise.all(flows.values());
      for (const timer of held) clearTimeout(timer);
      await Promise.all(
        [...sockets].map((socket) => new Promise<void>((resolve) => void socket.close(resolve))),
      );
    },
  };
}

/** Numbers from 0 (inclusive) to 1 (exclusive): mulberry32, good enough to choose packets. */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
