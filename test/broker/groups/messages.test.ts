/** Messages between broker objects: what is encoded is decoded, and nothing else is taken. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import {
  decodeMessage,
  encodeAnswer,
  encodeAsk,
  encodeHello,
  encodePoke,
  encodeRefusal,
} from '../../../src/broker/groups/messages.ts';
import { MillraceError } from '../../../src/core/errors.ts';

const id = fc.nat({ max: 2 ** 32 - 1 });
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const name = fc.string({ unit: 'binary', maxLength: 249 }).filter((text) => text.isWellFormed());

test('messages come back as they were', () => {
  expect(decodeMessage(encodeHello())).toEqual({ type: 'hello' });
  for (const type of ['poke', 'poked'] as const)
    for (const kind of ['changes', 'group'] as const)
      expect(decodeMessage(encodePoke(type, kind))).toEqual({ type, kind });
  fc.assert(
    fc.property(id, name, name, bytes, (number, group, task, question) => {
      const ask = { id: number, group, task, question };
      expect(decodeMessage(encodeAsk(ask))).toEqual({ type: 'ask', ...ask });
      const answer = { type: 'answer', id: number, answer: question };
      expect(decodeMessage(encodeAnswer(number, question))).toEqual(answer);
    }),
  );
});

test('errors travel with code, text and details; of foreign ones the text does', () => {
  const error = new MillraceError('MR_KEY_INVALID', 'no key', {
    domain: 'external',
    retryable: true,
    details: { key: 7, place: ['t', 0] },
  });
  const refusal = decodeMessage(encodeRefusal(7, error));
  expect(refusal).toMatchObject({ type: 'refusal', id: 7 });
  const { error: again } = refusal as { error: MillraceError };
  expect(again).toBeInstanceOf(MillraceError);
  expect(again.message).toBe('no key');
  expect([again.code, again.domain, again.retryable]).toEqual(['MR_KEY_INVALID', 'external', true]);
  expect(again.details).toEqual({ key: 7, place: ['t', 0] });

  for (const [thrown, text] of [
    [new TypeError('broken'), 'broken'],
    ['just text', 'just text'],
    [Object.create(null), 'a thrown object without a text'],
  ])
    expect(decodeMessage(encodeRefusal(1, thrown))).toMatchObject({
      error: { code: 'MR_INTERNAL', message: text, details: {} },
    });

  const round: Record<string, unknown> = {};
  round['self'] = round;
  for (const details of [round, { big: 'x'.repeat(100_000) }, { bytes: 1n }])
    expect(
      decodeMessage(encodeRefusal(1, new MillraceError('MR_IO', 'x'.repeat(100_000), { details }))),
    ).toMatchObject({ error: { code: 'MR_IO', details: {}, message: 'x'.repeat(16_384) } });
});

test('other bytes are refused with an error that says so', () => {
  const whole = [
    encodeHello(),
    encodePoke('poke', 'group'),
    encodeAsk({ id: 1, group: 'g', task: 't', question: Buffer.of(1) }),
    encodeRefusal(1, new MillraceError('MR_IO', 'text')),
  ];
  const refused = { code: 'MR_ARGUMENT_INVALID' };
  for (const message of whole)
    for (let length = 0; length < message.length; length++) {
      const cut = message.subarray(0, length);
      // A question may be empty, so an ask without its last byte is another ask.
      if (message[0] === 3 && length === message.length - 1) continue;
      expect(() => decodeMessage(cut)).toThrow(expect.objectContaining(refused) as Error);
    }
  for (const text of ['null', '[]', '1', '{}', '{"code":"ENOENT"}', '{"code":"MR_"}', '{'])
    expect(() => decodeMessage(Buffer.concat([Buffer.alloc(5, 5), Buffer.from(text)]))).toThrow(
      'not one of millrace',
    );
  fc.assert(
    fc.property(fc.nat({ max: 7 }), bytes, (type, rest) => {
      try {
        decodeMessage(Buffer.concat([Buffer.of(type), rest]));
      } catch (error) {
        expect(error).toMatchObject(refused);
      }
    }),
    { numRuns: 2000 },
  );
});
