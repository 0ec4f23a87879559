import { HoldfastError } from '@holdfast/contract/errors';
import { beforeEach, expect, it } from 'vitest';
import { targetPdu } from '../testing/target-pdus.ts';
import { decodeTargetPdu, NO_TAG } from './pdu.ts';
import type { OutgoingPdu, TargetPdu } from './pdu.ts';
import { SessionNumbers } from './session-numbers.ts';
import { TextExchange } from './text-exchange.ts';

type TextResponse = Extract<TargetPdu, { type: 'text-response' }>;

const TAG = 5;
let sent: OutgoingPdu[];
let exchange: TextExchange;
beforeEach(() => {
  sent = [];
  exchange = new TextExchange({
    tag: TAG,
    numbers: new SessionNumbers(),
    send: (pdus) => sent.push(...pdus),
  });
});

function answer(
  text: string | Buffer,
  fields: { final: boolean; tag?: number; targetTag?: number },
): TextResponse {
  const { final, tag = TAG, targetTag = NO_TAG } = fields;
  const data = Buffer.from(text);
  const header = targetPdu({ opcode: 0x24, flags: final ? 0x80 : 0, tag, words: { 20: targetTag } });
  const pdu = decodeTargetPdu(header, data);
  if (pdu.type !== 'text-response') throw new Error('not a text response');
  return pdu;
}

it('asks once, and gives an answer that comes in one message', async () => {
  exchange.ask('SendTargets', 'All');
  expect(sent.map(({ data }) => Buffer.from(data).toString())).toEqual(['SendTargets=All\0']);
  expect(exchange.receive(answer('TargetName=a\0', { final: true }))).toBe(true);
  expect((await exchange.answer).toString()).toBe('TargetName=a\0');
});

it('asks for the rest of a long answer by the tag of the target, each time in the order of commands', async () => {
  exchange.ask('SendTargets', 'All');
  expect(exchange.receive(answer('Target', { final: false, targetTag: 77 }))).toBe(false);
  expect(exchange.receive(answer('Name=a\0', { final: true }))).toBe(true);
  expect((await exchange.answer).toString()).toBe('TargetName=a\0');
  const wire = sent.map(({ header, data }) => [
    header.readUInt32BE(20),
    header.readUInt32BE(24),
    data.byteLength,
  ]);
  expect(wire).toEqual([
    [NO_TAG, 1, 16],
    [77, 2, 0],
  ]);
});

it('refuses the answer to another question, and a text that does not end', () => {
  expect(() => exchange.receive(answer('', { final: true, tag: TAG + 1 }))).toThrow('nobody asked for');
  const part = answer(Buffer.alloc(600 * 1024), { final: false, targetTag: 1 });
  exchange.receive(part);
  expect(() => exchange.receive(part)).toThrow('without an end');
});

it('fails with the session', async () => {
  const reason = new HoldfastError('backend_unavailable', 'The connection was lost.');
  exchange.fail(reason);
  await expect(exchange.answer).rejects.toBe(reason);
});
