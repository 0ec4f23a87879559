import { afterEach, describe, expect, test } from 'vitest';
import { encodeAck } from './packets.ts';
import { memorySource } from './testing/memory-source.ts';
import { content, ServerBench } from './testing/server-bench.ts';

const { start, rawClient, clear } = new ServerBench();
afterEach(clear);

describe.each([{ singlePort: false }, { singlePort: true }])(
  'with singlePort $singlePort',
  ({ singlePort }) => {
    test('closing lets a transfer go on within its grace, and takes no new one', async () => {
      const { port, server, ended } = await start(() => memorySource(content.subarray(0, 600)), {
        singlePort,
      });
      const [client, late] = [await rawClient(), await rawClient()];
      client.read(port, 'x');
      const { port: peer } = await client.next();
      const closed = server.close({ graceMs: 60_000 });
      late.read(port, 'x');
      expect((await late.next()).packet).toMatchObject({ kind: 'error', code: 0 });
      client.send(encodeAck(1), peer);
      await client.next();
      client.send(encodeAck(2), peer);
      expect(await ended()).toMatchObject({ outcome: 'completed' });
      await closed;
    });

    test('closing without grace tells the client, and waits for the file', async () => {
      const steps: string[] = [];
      const { port, server } = await start(
        () => ({ ...memorySource(content), close: (outcome) => void steps.push(outcome) }),
        { singlePort },
      );
      const client = await rawClient();
      client.read(port, 'x');
      await client.next();
      await server.close();
      expect(steps).toEqual(['failed']);
      expect((await client.next()).packet).toMatchObject({
        kind: 'error',
        message: expect.stringContaining('shutting down'),
      });
    });
  },
);
