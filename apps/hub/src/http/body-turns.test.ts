import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type Server,
} from 'node:http';
import { connect, type Socket } from 'node:net';
import { makeTempDir, type TempDir } from '@holdfast/test-support/temp-dir';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BodyTurns } from './body-turns.ts';
import { readBody } from './body.ts';
import { ParkedBytes } from './parked-bytes.ts';

/** A request whose body the test sends by hand, and how far the server is with it. */
interface Upload {
  client: ClientRequest;
  request: IncomingMessage;
  received: string;
  isBegun: boolean;
  begun: Promise<void>;
  ended: Promise<string>;
}

/** Lets what is on its way within this process arrive. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe('BodyTurns', () => {
  let folder: TempDir;
  let parking: ParkedBytes;
  let turns: BodyTurns;
  let server: Server;
  let arrived: { request: IncomingMessage; begun: Promise<void> }[];
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    arrived = [];
    folder = await makeTempDir('body-turns');
    parking = new ParkedBytes(folder.path);
    server = createServer((request, response) => {
      response.once('close', () => turns.end(request));
      arrived.push({ request, begun: turns.begin(request) });
      server.emit('arrived');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    vi.useRealTimers();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    parking[Symbol.dispose]();
    await folder[Symbol.asyncDispose]();
  });

  /** Begins a request; its body is read as soon as it is its turn, until the storage takes no more. */
  const upload = async (storageTakes = Infinity): Promise<Upload> => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server listens on TCP');
    const client = httpRequest({
      port: address.port,
      host: '127.0.0.1',
      method: 'PUT',
      agent: false,
      headers: { 'content-length': '1000000' },
    });
    client.on('error', () => undefined);
    const comes = once(server, 'arrived');
    client.flushHeaders();
    await comes;
    const { request, begun } = arrived.at(-1) ?? {};
    if (request === undefined || begun === undefined) throw new Error('the request has arrived');
    const state = { client, request, begun, isBegun: false, received: '' };
    const ended = begun
      .then(async () => {
        state.isBegun = true;
        for await (const chunk of readBody(request)) {
          state.received += chunk.toString();
          request.emit('taken');
          if (state.received.length >= storageTakes) await new Promise(() => undefined);
        }
        return 'complete';
      })
      .catch((error: unknown) => String(error));
    return Object.assign(state, { ended });
  };
  /** Sends text and waits until the server has taken it in. */
  const send = async (one: Upload, text: string): Promise<void> => {
    const taken = once(one.request, 'taken');
    one.client.write(text);
    await taken;
    await settled();
  };

  it('reads as many bodies as it may, and leaves the others in the network until it is their turn', async () => {
    turns = new BodyTurns({ most: 1, parking });
    const first = await upload();
    const second = await upload();
    await settled();
    expect([first.isBegun, second.isBegun, turns.waiting]).toEqual([true, false, 1]);
    second.client.write('early');
    await send(first, 'a');
    expect(second.request.readableLength).toBe(0);
    first.client.destroy();
    await first.ended;
    await second.begun;
    await once(second.request, 'taken');
    expect([second.received, turns.waiting]).toEqual(['early', 0]);
  });

  /** A request that comes together with the first bytes of its body, in one piece. */
  const arriveWith = async (
    body: string,
    length: number,
  ): Promise<Pick<Upload, 'request' | 'begun'> & { socket: Socket }> => {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the server listens on TCP');
    const socket = connect(address.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const comes = once(server, 'arrived');
    socket.write(`PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n${body}`);
    await comes;
    await settled();
    const last = arrived.at(-1);
    if (last === undefined) throw new Error('the request has arrived');
    return { ...last, socket };
  };
  const wholeOf = async (request: IncomingMessage): Promise<string> => {
    let text = '';
    for await (const chunk of readBody(request)) text += chunk.toString();
    return text;
  };

  it.each([
    ['the beginning of its body', 'early and ', 'late'],
    ['its whole body', 'all of it', ''],
  ])('parks what came along with a head, %s, and gives it back in order', async (_name, early, late) => {
    turns = new BodyTurns({ most: 1, mostInMemory: 0, parking });
    const first = await upload();
    const second = await arriveWith(early, early.length + late.length);
    expect(second.request.readableLength).toBe(0);
    second.socket.write(late);
    await settled();
    expect(second.request.readableLength).toBe(0);
    first.client.destroy();
    await second.begun;
    expect(await wholeOf(second.request)).toBe(early + late);
  });

  it('keeps in memory what the disk does not take', async () => {
    turns = new BodyTurns({ most: 1, mostInMemory: 0, parking: new ParkedBytes(folder.join('missing')) });
    const first = await upload();
    const second = await arriveWith('early', 9);
    expect(second.request.readableLength).toBe(5);
    second.socket.write('late');
    first.client.destroy();
    await second.begun;
    expect(await wholeOf(second.request)).toBe('earlylate');
  });

  it('forgets what it parked for a client that has gone', async () => {
    turns = new BodyTurns({ most: 1, mostInMemory: 0, parking });
    const first = await upload();
    const gone = await arriveWith('x'.repeat(5000), 9000);
    const second = await arriveWith('early', 5);
    gone.socket.destroy();
    first.client.destroy();
    await gone.begun;
    await expect(wholeOf(gone.request)).rejects.toMatchObject({ code: 'incomplete_body' });
    await second.begun;
    expect(await wholeOf(second.request)).toBe('early');
  });

  it('gives the turn of a client that has stalled to the next one, and takes its bytes when it comes back', async () => {
    turns = new BodyTurns({ most: 1, parking });
    const slow = await upload();
    await send(slow, 'a');
    const quick = await upload();
    vi.advanceTimersByTime(500);
    await quick.begun;
    await send(quick, 'quick');
    const comes = once(slow.request, 'taken');
    slow.client.write('b');
    vi.advanceTimersByTime(500);
    await comes;
    expect(slow.received).toBe('ab');
  });

  it('lets nobody keep a turn for ever, though bytes come all the time', async () => {
    turns = new BodyTurns({ most: 1, parking });
    const busy = await upload();
    const patient = await upload();
    for (let time = 0; time < 2500; time += 250) {
      await send(busy, 'x');
      vi.advanceTimersByTime(250);
      await settled();
      if (patient.isBegun) break;
    }
    expect(patient.isBegun).toBe(true);
  });

  it('takes no turn away while nobody waits', async () => {
    turns = new BodyTurns({ most: 1, parking });
    const only = await upload();
    vi.advanceTimersByTime(50_000);
    await send(only, 'late');
    expect([only.received, turns.waiting]).toEqual(['late', 0]);
  });

  it('does not let one storage that is stuck hold up the clients of others', async () => {
    turns = new BodyTurns({ most: 1, parking });
    const stuck = await upload(5);
    await send(stuck, 'bytes');
    const next = await upload();
    vi.advanceTimersByTime(4000);
    await settled();
    expect(next.isBegun).toBe(false);
    vi.advanceTimersByTime(1000);
    await next.begun;
    await send(next, 'goes on');
    expect(next.received).toBe('goes on');
  });

  it('forgets a request whose client has gone while it waited', async () => {
    turns = new BodyTurns({ most: 1, parking });
    const first = await upload();
    const gone = await upload();
    const third = await upload();
    expect(turns.waiting).toBe(2);
    turns.end(gone.request);
    expect(turns.waiting).toBe(1);
    turns.end(first.request);
    await third.begun;
    expect(turns.waiting).toBe(0);
  });
});
