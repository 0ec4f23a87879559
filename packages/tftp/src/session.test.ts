import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeData, encodeError, encodeOack, encodeRequest, parsePacket } from './packets.ts';
import { Session, type SessionAction, type SessionLimits, type SessionPlan } from './session.ts';
import { Receiver, type ReceiverStep } from './testing/receiver.ts';

const limits: SessionLimits = {
  maxRetries: 5,
  maxUnansweredRetries: 3,
  maxTimeoutMs: 8000,
  supplyTimeoutMs: 30_000,
};
const plan: SessionPlan = { blksize: 512, windowsize: 4, oack: true, size: 512 * 20, timeoutMs: 1000 };

/** A session whose blocks are all sent at once, as far as its window goes. */
function started(changes: Partial<SessionPlan> = {}): {
  session: Session;
  act: (actions: readonly SessionAction[]) => readonly SessionAction[];
} {
  const session = new Session({ ...plan, ...changes }, limits);
  const act = (actions: readonly SessionAction[]): readonly SessionAction[] => {
    for (const action of actions) if (action.type === 'send-blocks') session.blocksSent(action.to, 0);
    return actions;
  };
  act(session.start(0));
  return { session, act };
}

describe('acknowledgements', () => {
  test('the first window comes after the ACK of the OACK, and only after that', () => {
    const { session, act } = started();
    expect(act(session.ack(1, 0))).toEqual([]);
    expect(act(session.ack(0, 0))).toEqual([{ type: 'send-blocks', from: 1, to: 4 }]);
    expect(act(session.ack(4, 0))).toEqual([{ type: 'send-blocks', from: 5, to: 8 }]);
  });

  test('without options the transfer starts with block 1', () => {
    const session = new Session({ ...plan, oack: false, windowsize: 1 }, limits);
    expect(session.start(0)).toEqual([{ type: 'send-blocks', from: 1, to: 1 }]);
  });

  test('a partial ACK resends from there, the same ACK again sends nothing', () => {
    const { session, act } = started();
    act(session.ack(0, 0));
    expect(act(session.ack(2, 0))).toEqual([{ type: 'send-blocks', from: 3, to: 6 }]);
    expect(act(session.ack(2, 0))).toEqual([]);
    expect(act(session.ack(0, 0))).toEqual([]);
  });

  test('an ACK that comes late or for a block that was never sent is ignored', () => {
    const { session, act } = started();
    act(session.ack(0, 0));
    act(session.ack(4, 0));
    expect(act(session.ack(3, 0))).toEqual([]);
    expect(act(session.ack(9, 0))).toEqual([]);
    expect(session.acked).toBe(4);
  });

  test('an ACK of everything counts even after a timeout has gone back', () => {
    const { session, act } = started();
    act(session.ack(0, 0));
    expect(session.tick(1000)).toEqual([{ type: 'send-blocks', from: 1, to: 4 }]);
    session.blocksSent(1, 1000);
    expect(act(session.ack(4, 1001))).toEqual([{ type: 'send-blocks', from: 5, to: 8 }]);
  });

  test('the last ACK completes the transfer, and nothing matters afterwards', () => {
    const { session, act } = started({ size: 1024 });
    expect(act(session.ack(0, 0))).toEqual([{ type: 'send-blocks', from: 1, to: 3 }]);
    expect(session.ack(3, 0)).toMatchObject([{ type: 'end', outcome: 'completed' }]);
    expect([
      session.ack(3, 0),
      session.tick(1e9),
      session.clientError(0, ''),
      session.clientGone(''),
    ]).toEqual([[], [], [], []]);
  });

  test('block numbers roll over to 0 and go on', () => {
    const { session, act } = started({ windowsize: 64, size: 512 * 200_000 });
    act(session.ack(0, 0));
    while (!session.ended) act(session.ack(session.windowEnd & 0xffff, 0));
    expect(session.acked).toBe(200_001);
  });
});

describe('the clock', () => {
  test('repetitions come after 1, 2, 4, 8 and 8 seconds, then both sides have an error', () => {
    const { session, act } = started();
    act(session.ack(0, 0));
    const times: number[] = [];
    let end: readonly SessionAction[] = [];
    for (let now = 0; !session.ended;) {
      now = session.deadline;
      times.push(now);
      expect(session.tick(now - 1)).toEqual([]);
      end = session.tick(now);
      if (!session.ended) session.blocksSent(4, now);
    }
    expect(times).toEqual([1000, 3000, 7000, 15_000, 23_000, 31_000]);
    expect(end).toMatchObject([{ type: 'end', outcome: 'timeout', reply: { code: 0 } }]);
  });

  test('an address that never answers gets four packets and no error', () => {
    const { session } = started();
    let packets = 1;
    let last: readonly SessionAction[] = [];
    while (!session.ended) {
      last = session.tick(session.deadline);
      if (!session.ended) packets += 1;
    }
    expect(packets).toBe(4);
    expect(last).toEqual([{ type: 'end', outcome: 'timeout', reason: 'The client did not answer 4 times.' }]);
  });

  test('a long timeout that the client asked for is kept', () => {
    const { session } = started({ timeoutMs: 20_000 });
    expect(session.deadline).toBe(20_000);
    session.tick(20_000);
    expect(session.deadline).toBe(40_000);
  });

  test('waiting for the storage is not held against the client, but has an end', () => {
    const { session } = started();
    session.ack(0, 0);
    session.blocksSent(2, 0);
    expect(session.tick(29_999)).toEqual([]);
    expect(session.tick(30_000)).toMatchObject([{ type: 'end', outcome: 'failed', reply: { code: 0 } }]);
  });
});

test('error 8 after the OACK is a probe, any other error gives up', () => {
  expect(started().session.clientError(8, '')).toMatchObject([{ type: 'end', outcome: 'probed' }]);
  expect(started().session.clientError(0, 'No space')).toMatchObject([
    { type: 'end', outcome: 'aborted', reason: 'The client gave up with error 0: No space.' },
  ]);
  const { session, act } = started();
  act(session.ack(0, 0));
  expect(session.clientError(8, '')).toMatchObject([{ type: 'end', outcome: 'aborted' }]);
});

/** A network that loses, repeats and reorders, in virtual time; the choices come from fast-check. */
class Network {
  readonly #roll: () => number;
  readonly #rates: { loss: number; duplicate: number; delayMs: number };
  readonly #queue: { at: number; run: () => void }[] = [];
  now = 0;

  constructor(roll: () => number, rates: { loss: number; duplicate: number; delayMs: number }) {
    this.#roll = roll;
    this.#rates = rates;
  }

  carry(packet: Buffer, to: (packet: Buffer) => void): void {
    if (this.#roll() < this.#rates.loss) return;
    const copies = this.#roll() < this.#rates.duplicate ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1)
      this.at(this.now + this.#roll() * this.#rates.delayMs, () => to(packet));
  }

  at(time: number, run: () => void): void {
    this.#queue.push({ at: time, run });
  }

  /** Runs the next event up to a time; false when there is none. */
  step(until: number): boolean {
    let first: { at: number; run: () => void } | undefined;
    for (const event of this.#queue)
      if (event.at <= until && (first === undefined || event.at < first.at)) first = event;
    if (first === undefined) return false;
    this.#queue.splice(this.#queue.indexOf(first), 1);
    this.now = Math.max(this.now, first.at);
    first.run();
    return true;
  }
}

/** mulberry32. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Run {
  outcome: string | undefined;
  receiver: Receiver;
  received: Buffer;
  /** Packets that the server sent. */
  packets: number;
  elapsedMs: number;
}

/** A whole transfer over such a network, with both ends as machines. */
function simulate(
  content: Buffer,
  { blksize, windowsize, known }: { blksize: number; windowsize: number; known: boolean },
  network: Network,
): Run {
  const last = Math.floor(content.length / blksize) + 1;
  const session = new Session(
    { blksize, windowsize, oack: true, size: known ? content.length : null, timeoutMs: 1000 },
    limits,
  );
  const receiver = new Receiver({ request: encodeRequest('read', 'x', 'octet'), maxRetries: 6 });
  const received: Uint8Array[] = [];
  let outcome: string | undefined;
  let packets = 0;
  let receiverDeadline = 1500;
  let running = false;

  const toClient = (packet: Buffer): void => {
    packets += 1;
    network.carry(packet, (bytes) => perform(receiver.receive(bytes)));
  };
  const act = (actions: readonly SessionAction[]): void => {
    for (const action of actions) {
      if (action.type === 'send-oack') {
        toClient(
          encodeOack([
            { name: 'blksize', value: String(blksize) },
            { name: 'windowsize', value: String(windowsize) },
          ]),
        );
      } else if (action.type === 'end') {
        outcome = action.outcome;
        if (action.reply !== undefined) toClient(encodeError(action.reply.code, action.reply.message));
      } else {
        if (action.to >= last) session.lastBlock(last);
        const to = Math.min(action.to, last);
        for (let block = action.from; block <= to; block += 1) {
          toClient(encodeData(block, content.subarray((block - 1) * blksize, block * blksize)));
        }
        session.blocksSent(to, network.now);
      }
    }
  };
  const toServer = (packet: Buffer): void => {
    const parsed = parsePacket(packet);
    if (parsed.kind === 'read' && !running) {
      running = true;
      act(session.start(network.now));
    } else if (parsed.kind === 'ack') act(session.ack(parsed.block, network.now));
    else if (parsed.kind === 'error') act(session.clientError(parsed.code, parsed.message));
  };
  const perform = (steps: ReceiverStep[]): void => {
    for (const step of steps) {
      if (step.type === 'send') network.carry(step.packet, toServer);
      if (step.type === 'deliver') {
        received.push(step.payload);
        receiverDeadline = network.now + 1500;
      }
    }
  };

  perform(receiver.start());
  for (;;) {
    const over = receiver.state === 'done' || receiver.state === 'failed';
    const next = Math.min(session.deadline, over ? Number.POSITIVE_INFINITY : receiverDeadline);
    if (network.step(next)) continue;
    if (next === Number.POSITIVE_INFINITY) break;
    network.now = Math.max(network.now, next);
    if (session.deadline <= network.now) act(session.tick(network.now));
    if (!over && receiverDeadline <= network.now) {
      receiverDeadline = network.now + 1500;
      perform(receiver.timeout());
    }
  }
  return { outcome, receiver, received: Buffer.concat(received), packets, elapsedMs: network.now };
}

describe('over a network that loses, repeats and reorders', () => {
  const shape = {
    seed: fc.integer(),
    size: fc.nat({ max: 3000 }),
    blksize: fc.integer({ min: 8, max: 64 }),
    windowsize: fc.integer({ min: 1, max: 16 }),
    known: fc.boolean(),
  };

  test('a transfer ends byte-identical, or with an error on both sides, within the bounds of its timers', () => {
    const rates = fc.record({
      loss: fc.double({ min: 0, max: 0.5, noNaN: true }),
      duplicate: fc.double({ min: 0, max: 0.5, noNaN: true }),
      delayMs: fc.nat({ max: 3000 }),
    });
    fc.assert(
      fc.property(fc.record({ ...shape, rates }), ({ seed, size, rates: chosen, ...agreed }) => {
        const random = randomNumbers(seed);
        const content = Buffer.from(Uint8Array.from({ length: size }, () => random() * 256));
        const { outcome, receiver, received, elapsedMs } = simulate(
          content,
          agreed,
          new Network(random, chosen),
        );
        const blocks = Math.floor(size / agreed.blksize) + 2;
        expect(elapsedMs).toBeLessThan((blocks + 1) * 31_000 + 30_000);
        if (receiver.state === 'done') expect(received.equals(content)).toBe(true);
        else expect(receiver.state).toBe('failed');
        if (outcome === 'completed') expect(receiver.state).toBe('done');
        // Nobody can know that the very last ACK got lost; every other failure is one of both.
        if (receiver.state === 'failed') expect(['timeout', 'aborted', undefined]).toContain(outcome);
      }),
      { numRuns: 300 },
    );
  });

  test('repetitions by the network alone cost no packet of the server', () => {
    fc.assert(
      fc.property(fc.record(shape), ({ seed, size, ...agreed }) => {
        const content = Buffer.alloc(size, 7);
        const rates = { loss: 0, duplicate: 0.5, delayMs: 0 };
        const { outcome, packets } = simulate(content, agreed, new Network(randomNumbers(seed), rates));
        expect(outcome).toBe('completed');
        expect(packets).toBe(1 + Math.floor(size / agreed.blksize) + 1);
      }),
    );
  });

  test('with a loss now and then every transfer completes', () => {
    fc.assert(
      fc.property(fc.record(shape), ({ seed, size, ...agreed }) => {
        const content = Buffer.alloc(size, 9);
        const rates = { loss: 0.02, duplicate: 0.02, delayMs: 2 };
        const { receiver, received } = simulate(content, agreed, new Network(randomNumbers(seed), rates));
        expect(receiver.state).toBe('done');
        expect(received.equals(content)).toBe(true);
      }),
    );
  });
});

test('any order of any packets leaves a session within its invariants', () => {
  const event = fc.oneof(
    fc.record({ type: fc.constant('ack' as const), block: fc.nat({ max: 65535 }) }),
    fc.record({ type: fc.constant('near' as const), block: fc.integer({ min: -3, max: 8 }) }),
    fc.record({ type: fc.constant('tick' as const), block: fc.nat({ max: 3000 }) }),
    fc.record({ type: fc.constant('sent' as const), block: fc.nat({ max: 4 }) }),
  );
  fc.assert(
    fc.property(fc.boolean(), fc.array(event, { maxLength: 100 }), (oack, events) => {
      const session = new Session({ ...plan, oack }, limits);
      session.start(0);
      let now = 0;
      let acked = 0;
      let sent = 0;
      for (const { type, block } of events) {
        if (type === 'tick') session.tick((now += block));
        else if (type === 'sent') {
          const to = Math.min(session.windowEnd, session.next + block);
          if (to < session.next) continue;
          session.blocksSent(to, now);
          sent = Math.max(sent, to);
        } else session.ack((type === 'near' ? session.acked + block : block) & 0xffff, now);
        expect(session.acked).toBeGreaterThanOrEqual(acked);
        expect(session.acked).toBeLessThanOrEqual(sent);
        expect(session.windowEnd - session.acked).toBeLessThanOrEqual(plan.windowsize);
        if (!session.ended) expect(Number.isFinite(session.deadline)).toBe(true);
        acked = session.acked;
      }
    }),
    { numRuns: 1000 },
  );
});
