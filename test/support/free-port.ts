import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Ports below are those of services. */
const firstPort = 20_000;
const attempts = 100;
/** What this process has given away, whether somebody listens there or not yet. */
const given = new Set<number>();

/** The first port that the system gives to whoever asks for any (ip(7), ip_local_port_range). */
async function firstPortOfTheSystem(): Promise<number> {
  const [first = ''] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).split(/\s+/);
  return Number(first);
}

/**
 * A TCP port of 127.0.0.1 that was free a moment ago. For servers that cannot be told to take any free one; somebody
 * else may take it first, so be ready to try another. It is none of those that the system gives away: a server that was
 * killed finds its port free when it comes back.
 */
export async function freePort(): Promise<number> {
  const endPort = await firstPortOfTheSystem();
  for (let attempt = 1; attempt <= attempts && endPort > firstPort; attempt += 1) {
    const port = randomInt(firstPort, endPort);
    if (given.has(port)) continue;
    given.add(port);
    if ((await listen(port)) !== undefined) return port;
  }
  const port = await listen(0);
  if (port === undefined) throw new Error('There is no free port on 127.0.0.1.');
  return port;
}

/** Listens for a moment: resolves to the port, or to undefined when it is taken. */
async function listen(port: number): Promise<number | undefined> {
  const server = createServer();
  server.listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined;
    throw error;
  }
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('The listening socket has no port.');
  return address.port;
}
