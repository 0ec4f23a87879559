import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import { Socket } from 'node:net';

function endWhenStalled(socket: Duplex | null | undefined, limitMs: number): void {
  if (!(socket instanceof Socket)) return;
  socket.on('timeout', () => {
    const text = `nothing went through the connection for ${socket.timeout ?? limitMs} ms`;
    socket.destroy(Object.assign(new Error(text), { code: 'ETIMEDOUT' }));
  });
}

/**
 * Agents whose connections end when nothing goes through them for a time, in either direction and from the first
 * packet on; that counts bytes that the kernel takes, so a slow upload lives. Idle ones are closed after the same time
 * and do not keep the process alive.
 */
export function stallingAgents(limitMs: number): { httpAgent: HttpAgent; httpsAgent: HttpsAgent } {
  const options = { keepAlive: true, timeout: limitMs, maxFreeSockets: 16 };
  const httpAgent = new HttpAgent(options);
  const httpsAgent = new HttpsAgent(options);
  for (const agent of [httpAgent, httpsAgent]) {
    const connect = agent.createConnection.bind(agent);
    agent.createConnection = (connection, callback) => {
      const socket = connect(connection, callback);
      endWhenStalled(socket, limitMs);
      return socket;
    };
  }
  return { httpAgent, httpsAgent };
}
