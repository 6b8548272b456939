/** Questions about rows, and what a task answers. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { encodeKey } from '../../src/codec/key.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { MillraceError } from '../../src/core/errors.ts';
import {
  answerQuestion,
  askedStart,
  decodeAnswer,
  decodeQuestion,
  encodeQuestion,
  questionOf,
  storedRow,
} from '../../src/table/question.ts';
import type { Question } from '../../src/table/question.ts';
import { expectError } from '../codec/support.ts';
import { key } from '../state/support.ts';
import { tableOn, TaskBench } from './task-bench.ts';

const window: fc.Arbitrary<Question['window']> = fc.oneof(
  fc.constant(undefined),
  fc.maxSafeInteger().map((start) => ({ start })),
  fc.integer({ min: 1, max: 2 ** 40 }).map((stepMs) => ({ current: { stepMs } })),
);

describe('a question', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), key, window, (table, asked, where) => {
        const question = questionOf(table, asked, where);
        expect(question.key).toEqual(encodeKey(asked));
        const plain = { ...question, key: new Uint8Array(question.key) };
        expect(decodeQuestion(encodeQuestion(question))).toEqual(plain);
      }),
    );
  });

  test('of anything else is refused', () => {
    const bad: readonly unknown[] = [
      null,
      7,
      {},
      [],
      ['1', 't', Uint8Array.of(1), null],
      [1, 't'],
      [1, 5, Uint8Array.of(1), null],
      [1, 't', 'key', null],
      [1, 't', Uint8Array.of(1), undefined],
      [1, 't', Uint8Array.of(1), 0.5],
      [1, 't', Uint8Array.of(1), []],
      [1, 't', Uint8Array.of(1), [0]],
      [1, 't', Uint8Array.of(1), [1.5]],
    ];
    for (const value of bad)
      expectError('MR_DECODE_FAILED', () => decodeQuestion(msgpack.encode(value)));
    expectError('MR_VERSION_UNSUPPORTED', () =>
      decodeQuestion(msgpack.encode([2, 't', Uint8Array.of(1), null])),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        try {
          decodeQuestion(bytes);
        } catch (error) {
          expect(MillraceError.is(error)).toBe(true);
        }
      }),
    );
  });

  test('names its window, or the current one by stream time', () => {
    expect(askedStart({ start: 70 }, 5)).toBe(70);
    expect(askedStart({ current: { stepMs: 10 } }, 25)).toBe(20);
    expect(askedStart({ current: { stepMs: 10 } }, -5)).toBe(-10);
    expect(askedStart({ current: { stepMs: 10 } }, -Infinity)).toBeUndefined();
  });
});

describe('an answer', () => {
  test('is the row or none', () => {
    expect(decodeAnswer(storedRow(undefined), msgpack)).toBeUndefined();
    for (const row of [null, 0, '', { a: [1] }])
      expect(decodeAnswer(storedRow(msgpack.encode(row)), msgpack)).toEqual(row);
    for (const bytes of [[], [0, 1], [2], [7, 7]])
      expectError('MR_DECODE_FAILED', () => decodeAnswer(Uint8Array.from(bytes), msgpack));
  });

  test('of a table without windows, and whether it is committed', async () => {
    const bench = new TaskBench();
    const { table: rows } = tableOn<unknown>(bench.host, 'rows');
    const ask = (asked: unknown): readonly [unknown, boolean] => {
      const question = encodeQuestion(questionOf('rows', asked, undefined));
      const { state, streamTime } = bench;
      const { answer, dirty } = answerQuestion(
        state,
        streamTime,
        () => ({ codec: msgpack }),
        question,
      );
      return [decodeAnswer(answer, msgpack), dirty];
    };
    expect(ask('a')).toEqual([undefined, false]);
    // Nobody has used the table yet, and a question is no use.
    expect(bench.state.names()).toEqual([]);
    await bench.event('a', 1, () => {
      rows.set('a', { n: 1 });
      rows.set('b', 2);
    });
    expect(ask('a')).toEqual([{ n: 1 }, true]);
    expect(ask('c')).toEqual([undefined, false]);
    await bench.commit();
    expect(ask('a')).toEqual([{ n: 1 }, false]);
    await bench.event('a', 1, () => rows.delete('a'));
    expect(ask('a')).toEqual([undefined, true]);
    bench.crash();
    expect(ask('a')).toEqual([{ n: 1 }, false]);
    expect(ask('b')).toEqual([2, false]);
  });

  test('of a table with windows', async () => {
    const bench = new TaskBench();
    const counts = tableOn(bench.host, 'counts', () => 0).table.hopping(10, 5, { grace: 100 });
    bench.update(counts, (n: number) => n + 1);
    const ask = (where: Question['window']): readonly [unknown, boolean] => {
      const question = encodeQuestion(questionOf('counts', 'k', where));
      const { state, streamTime } = bench;
      const { answer, dirty } = answerQuestion(
        state,
        streamTime,
        () => ({ codec: msgpack }),
        question,
      );
      return [decodeAnswer(answer, msgpack), dirty];
    };
    const current = { current: { stepMs: 5 } };
    expect(ask(current)).toEqual([undefined, false]);
    for (const time of [1, 2, 12]) await bench.send(counts, 'k', time);
    await bench.commit();
    await bench.send(counts, 'k', 3);
    expect(ask({ start: 0 })).toEqual([3, true]);
    expect(ask({ start: -5 })).toEqual([3, true]);
    expect(ask({ start: 5 })).toEqual([1, false]);
    expect(ask({ start: 500 })).toEqual([undefined, false]);
    expect(ask(current)).toEqual([1, false]);
    expectError('MR_TOPOLOGY_CHANGED', () => ask(undefined), /table counts is stored with windows/);
  });
});
