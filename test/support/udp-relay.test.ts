import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { startUdpRelay, type UdpRelayOptions } from './udp-relay.ts';

/** Sends numbered packets to an echo through a relay, one after the other, and tells what came back of each. */
async function echoes(options: Omit<UdpRelayOptions, 'port'>, packets: number): Promise<number[]> {
  const echo = createSocket('udp4');
  const client = createSocket('udp4');
  for (const socket of [echo, client]) {
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
  }
  echo.on('message', (packet, from) => echo.send(packet, from.port, '127.0.0.1'));
  const counts = Array.from({ length: packets }, () => 0);
  client.on('message', (packet) => {
    const index = packet.readUInt16BE(0);
    counts[index] = (counts[index] ?? 0) + 1;
    client.emit('echo');
  });
  await using relay = await startUdpRelay({ ...options, port: echo.address().port });
  for (let index = 0; index < packets; index += 1) {
    const { lost, passed } = relay.counts;
    const packet = Buffer.alloc(2);
    packet.writeUInt16BE(index);
    client.send(packet, relay.port, '127.0.0.1');
    // Lost in one of the two directions, or back: either way the relay has counted it before the next one goes.
    while (relay.counts.lost === lost && (counts[index] === 0 || relay.counts.passed < passed + 2)) {
      await new Promise((resolve) => void setImmediate(resolve));
    }
  }
  echo.close();
  client.close();
  return counts;
}

test('without rates every packet arrives once', async () => {
  expect(await echoes({ seed: 1 }, 50)).toEqual(Array.from({ length: 50 }, () => 1));
});

test('the same seed loses the same packets', async () => {
  const first = await echoes({ seed: 7, loss: 0.2 }, 100);
  expect(await echoes({ seed: 7, loss: 0.2 }, 100)).toEqual(first);
  expect(first).toContain(0);
  expect(first).toContain(1);
  expect(await echoes({ seed: 8, loss: 0.2 }, 100)).not.toEqual(first);
});

test('packets that are repeated or held back arrive all the same', async () => {
  const counts = await echoes({ seed: 3, duplicate: 0.3, reorder: 0.3, delayMs: 1 }, 50);
  expect(Math.min(...counts)).toBeGreaterThan(0);
  expect(Math.max(...counts)).toBeGreaterThan(1);
});
