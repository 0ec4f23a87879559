import { isHoldfastError } from '@holdfast/contract/errors';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { targetPdu } from '../testing/target-pdus.ts';
import { LoginConversation } from './login.ts';
import type { LoginOptions, LoginResponse, LoginStep } from './login.ts';
import { decodeTargetPdu } from './pdu.ts';
import { encodeTextPairs, parseTextKeys } from './text-keys.ts';

const chap = { username: 'hub', password: 'a-secret-of-chap' };
const target = 'iqn.2026-01.test:disk';
const options: LoginOptions = { initiatorName: 'iqn.2026-01.test:hub', target, digests: true };

interface Answer {
  stage: 0 | 1;
  next?: 0 | 1 | 3;
  more?: boolean;
  status?: number;
  keys?: Record<string, string>;
}

function response({ stage, next, more = false, status = 0, keys = {} }: Answer): LoginResponse {
  const flags = (next === undefined ? 0 : 0x80) | (more ? 0x40 : 0) | (stage << 2) | (next ?? 0);
  const header = targetPdu({ opcode: 0x23, flags, bytes: { 36: status >> 8, 37: status & 0xff } });
  const pdu = decodeTargetPdu(header, encodeTextPairs(Object.entries(keys)));
  if (pdu.type !== 'login-response') throw new Error('not a login response');
  return pdu;
}

/** Runs a conversation with these answers; gives the keys of every request, and how it ended. */
function converse(
  login: LoginOptions,
  answers: Answer[],
): { sent: Record<string, string>[]; last: LoginStep } {
  const conversation = new LoginConversation(login);
  const sent: Record<string, string>[] = [];
  let last = conversation.begin();
  for (const answer of answers) {
    if (last.do === 'send') sent.push(Object.fromEntries(parseTextKeys(last.data)));
    last = conversation.next(response(answer));
  }
  if (last.do === 'send') sent.push(Object.fromEntries(parseTextKeys(last.data)));
  return { sent, last };
}

const noChap: Answer = { stage: 0, next: 1, keys: { AuthMethod: 'None', TargetPortalGroupTag: '1' } };

describe('a login', () => {
  it('without CHAP agrees on parameters', () => {
    const keys = {
      HeaderDigest: 'CRC32C',
      DataDigest: 'None',
      MaxRecvDataSegmentLength: '65536',
      MaxBurstLength: '262144',
      FirstBurstLength: '65536',
      InitialR2T: 'Yes',
      ImmediateData: 'No',
      ErrorRecoveryLevel: '0',
      MaxConnections: '1',
    };
    const { sent, last } = converse(options, [noChap, { stage: 1, next: 3, keys }]);
    expect(sent[0]).toEqual({
      InitiatorName: options.initiatorName,
      TargetName: target,
      SessionType: 'Normal',
      AuthMethod: 'None',
    });
    expect(sent[1]).toMatchObject({
      HeaderDigest: 'CRC32C,None',
      DataDigest: 'CRC32C,None',
      InitialR2T: 'No',
    });
    expect(last).toEqual({
      do: 'done',
      parameters: {
        headerDigest: true,
        dataDigest: false,
        maxSendBytes: 65_536,
        maxBurstBytes: 262_144,
        firstBurstBytes: 65_536,
        initialR2t: true,
        immediateData: false,
        portalGroup: 1,
      },
    });
  });

  it('with CHAP answers the challenge as RFC 1994 says', () => {
    const { sent, last } = converse({ ...options, chap }, [
      { stage: 0, keys: { AuthMethod: 'CHAP' } },
      { stage: 0, keys: { CHAP_A: '5', CHAP_I: '17', CHAP_C: '0x00ff10' } },
      { stage: 0, next: 1 },
    ]);
    const challenge = Buffer.from('00ff10', 'hex');
    const expected = createHash('md5')
      .update(Buffer.from([17]))
      .update(chap.password)
      .update(challenge)
      .digest('hex');
    expect(sent.slice(1, 3)).toEqual([{ CHAP_A: '5' }, { CHAP_N: 'hub', CHAP_R: `0x${expected}` }]);
    expect(last).toMatchObject({ do: 'send', currentStage: 1, nextStage: 3, transit: true });
  });

  it('takes a text that comes in several responses, and answers what it does not know', () => {
    const { sent, last } = converse(options, [
      noChap,
      { stage: 1, more: true, keys: { HeaderDigest: 'None' } },
      { stage: 1, keys: { 'X-com.example.key': '1', DataDigest: 'None' } },
      { stage: 1, next: 3 },
    ]);
    expect(sent.at(-1)).toEqual({ 'X-com.example.key': 'NotUnderstood' });
    expect(last.do).toBe('done');
  });

  it('for discovery names no target, and takes what does not matter then', () => {
    const discovery = { ...options, target: undefined };
    const { sent, last } = converse(discovery, [
      noChap,
      { stage: 1, next: 3, keys: { HeaderDigest: 'None', MaxBurstLength: 'Irrelevant' } },
    ]);
    expect(sent[0]).not.toHaveProperty('TargetName');
    expect(sent[0]).toMatchObject({ SessionType: 'Discovery' });
    expect(last.do).toBe('done');
  });

  it('follows a redirection', () => {
    const moved: Answer = { stage: 0, status: 0x0101, keys: { TargetAddress: '10.0.0.9:3261,1' } };
    expect(converse(options, [moved]).last).toEqual({ do: 'follow', address: '10.0.0.9:3261,1' });
  });

  it.each([
    ['wrong credentials', 0x0201, 'config.chap_password'],
    ['an initiator that is not let in', 0x0202, 'config.initiator_name'],
    ['a target that is not there', 0x0203, 'config.target'],
  ])('names the field at fault for %s, and never the secret', (_name, status, field) => {
    try {
      converse({ ...options, chap }, [{ stage: 0, status }]);
      expect.unreachable();
    } catch (error) {
      if (!isHoldfastError(error)) throw error;
      expect(error.errors?.[0]?.field).toBe(field);
      expect(error.retryable).toBe(false);
      expect(error.message).not.toContain(chap.password);
    }
  });

  it.each([
    ['another stage', { stage: 1, next: 3 }, undefined],
    ['a skipped stage', { stage: 0, next: 3, keys: { AuthMethod: 'None' } }, undefined],
    ['a redirection to nowhere', { stage: 0, status: 0x0101 }, undefined],
    ['CHAP that is skipped', { stage: 0, next: 1, keys: { AuthMethod: 'CHAP' } }, chap],
    ['a method that was not offered', { stage: 0, keys: { AuthMethod: 'KRB5' } }, undefined],
    ['no CHAP where it is demanded', { stage: 0, next: 1, keys: { AuthMethod: 'None' } }, chap],
  ] as const)('is refused for %s', (_name, answer, credentials) => {
    const login = credentials === undefined ? options : { ...options, chap: credentials };
    expect(() => converse(login, [answer])).toThrow(/protocol|chap_enabled/);
  });

  it.each([
    ['HeaderDigest', 'MD5'],
    ['MaxBurstLength', '2097152'],
    ['FirstBurstLength', '-1'],
    ['MaxRecvDataSegmentLength', '511'],
    ['InitialR2T', 'Perhaps'],
    ['ErrorRecoveryLevel', '2'],
    ['MaxConnections', '2'],
    ['DataPDUInOrder', 'No'],
  ])('refuses the answer %s=%s', (key, value) => {
    const answers: Answer[] = [noChap, { stage: 1, next: 3, keys: { [key]: value } }];
    expect(() => converse(options, answers)).toThrow(key);
  });

  it('that goes on and on is ended', () => {
    const endless = Array.from({ length: 20 }, () => ({ stage: 1 }) as const);
    expect(() => converse(options, [noChap, ...endless])).toThrow('a login without an end');
  });

  it('comes to an end or a refusal, whatever the target answers', () => {
    const anyAnswer = fc.record({
      flags: fc.nat(255),
      status: fc.oneof(fc.constant(0), fc.nat(0xffff)),
      data: fc.oneof(
        fc.uint8Array({ maxLength: 60 }),
        fc
          .array(
            fc.tuple(
              fc.constantFrom(
                'AuthMethod',
                'CHAP_A',
                'CHAP_I',
                'CHAP_C',
                'HeaderDigest',
                'InitialR2T',
                'MaxBurstLength',
              ),
              fc.constantFrom('CHAP', 'None', '5', '0xab', 'Yes', '4096', ''),
            ),
            { maxLength: 4 },
          )
          .map((pairs) => encodeTextPairs(pairs)),
      ),
    });
    fc.assert(
      fc.property(fc.array(anyAnswer, { minLength: 1, maxLength: 6 }), fc.boolean(), (answers, useChap) => {
        const conversation = new LoginConversation(useChap ? { ...options, chap } : options);
        conversation.begin();
        try {
          for (const { flags, status, data } of answers) {
            const header = targetPdu({ opcode: 0x23, flags, bytes: { 36: status >> 8, 37: status & 0xff } });
            const pdu = decodeTargetPdu(header, Buffer.from(data));
            if (pdu.type !== 'login-response') throw new Error('not a login response');
            if (conversation.next(pdu).do !== 'send') return;
          }
        } catch (error) {
          if (!isHoldfastError(error, 'backend_unavailable')) throw error;
          expect(error.message).not.toContain(chap.password);
        }
      }),
    );
  });
});

describe('text of keys', () => {
  it('is read back as it was written', () => {
    const key = fc.stringMatching(/^[A-Z][A-Za-z0-9.+@_-]{0,20}$/);
    const value = fc.stringMatching(/^[ -~]{0,40}$/);
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(key, value), { selector: ([name]) => name }), (pairs) => {
        expect([...parseTextKeys(encodeTextPairs(pairs))]).toEqual(pairs);
      }),
    );
  });

  it.each(['=value\0', 'novalue\0', 'a=b', 'A=1\0A=2\0', `A=${'x'.repeat(9000)}\0`, '9a=b\0'])(
    'is refused as %j',
    (text) => {
      expect(() => parseTextKeys(Buffer.from(text))).toThrow('breaks the protocol');
    },
  );
});
