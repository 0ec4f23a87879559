import { HoldfastError } from '@holdfast/contract/errors';
import type { ConnectFailed } from './connection.ts';

interface Server {
  server: string;
  port: number;
  localPort?: number | undefined;
  timeLimitMs: number;
}

const connectAdvice: Record<string, string> = {
  ECONNREFUSED: 'Nothing listens there: check that the NFS server runs, and config.port.',
  ETIMEDOUT: 'It does not answer: check that the machine is on, the firewalls in between, and config.server.',
  EHOSTUNREACH: 'There is no way to the machine: check that it is on, and config.server.',
  ENETUNREACH: 'There is no way to its network: check the network of this machine, and config.server.',
  ENOTFOUND: 'The name is not known: check config.server and the name server of this machine.',
  EAI_AGAIN: 'The name could not be looked up: check the name server of this machine, and config.server.',
  EACCES:
    'This process may not call from that port: it needs root or CAP_NET_BIND_SERVICE for config.local_port below 1024.',
  EADDRINUSE: 'The port to call from is in use: choose another config.local_port.',
  EADDRNOTAVAIL: 'The port to call from is in use: choose another config.local_port.',
};

function addressOf({ server, port }: Server): string {
  return server.includes(':') ? `[${server}]:${port}` : `${server}:${port}`;
}

/** The error for a server that could not be connected to. */
export function connectProblem(options: Server, error: ConnectFailed): HoldfastError {
  const from = options.localPort === undefined ? '' : ` from port ${options.localPort}`;
  const advice = connectAdvice[error.code] ?? 'Check config.server and config.port.';
  const text = `The NFS server ${addressOf(options)} cannot be reached${from} (${error.code}). ${advice}`;
  return new HoldfastError('backend_unavailable', text, { cause: error });
}

/** The error for a server that has stopped answering. */
export function deadServer(options: Server, cause: unknown): HoldfastError {
  const text =
    `The NFS server ${addressOf(options)} has not answered for ${options.timeLimitMs / 1000} s. ` +
    'Check that it runs and that the network is up, then try again.';
  return new HoldfastError('backend_unavailable', text, { cause });
}

/** The error for a server whose answers make no sense. */
export function garbledServer(options: Server, cause: unknown): HoldfastError {
  const text =
    `What ${addressOf(options)} answers makes no sense as NFS, again and again. Check config.port, and the network ` +
    'for damaged packets.';
  return new HoldfastError('backend_unavailable', text, { cause });
}
