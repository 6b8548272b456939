/** What a dead letter holds, to the byte: the record as it is stored, and what is known of its failure. */
import { expect, test } from 'vitest';
import { z } from 'zod';

import { bytes, deadLetter, json, unchecked } from '../../src/index.ts';
import { headerTexts } from '../faults/header-texts.ts';
import { paced } from './paced.ts';
import { recordsOf } from './support.ts';

/** JSON that nobody else would write in this way. */
const spaced = {
  name: 'json',
  encode: (value: unknown) => Buffer.from(`  ${JSON.stringify(value)} `),
  decode: (encoded: Uint8Array) => json.decode(encoded),
};

const Job = z.object({ n: z.number(), what: z.string() });
type Job = z.infer<typeof Job>;

class Refused extends RangeError {
  override readonly name = 'Refused';
  readonly code = 'E_REFUSED';
}

/** What the handler does about a job. */
const handlers: Readonly<Record<string, () => unknown>> = {
  fine: () => undefined,
  error: () => {
    throw new TypeError('no such thing: ☃');
  },
  coded: () => {
    throw new Refused('not today');
  },
  long: () => {
    throw new Error('x'.repeat(5_000));
  },
  text: () => {
    throw 'just a text';
  },
  later: () => Promise.reject(new Error('later')),
};

test('it is the record as it is stored, with its error', () =>
  paced({ onError: deadLetter('dead') }, async (it) => {
    const raw = it.app.topic('jobs', {
      key: unchecked<string>(),
      value: Job,
      codec: spaced,
      partitions: 4,
      validate: 'out',
    });
    const dead = it.app.topic('dead', {
      key: unchecked<string>(),
      value: unchecked<Uint8Array>(),
      codec: bytes,
      partitions: 3,
    });
    raw.stream().sink(async ({ what }) => {
      await handlers[what]?.();
    });
    const jobs = [...Object.keys(handlers), 'invalid', 'fine'];
    for (const [n, what] of jobs.entries()) {
      const value: Job = what === 'invalid' ? ({ n, what: 7 } as never) : { n, what };
      await raw.send(value, {
        key: `key ${what}`,
        partition: 3,
        timestamp: 5_000 + n,
        headers: { trace: `t${n}`, 'mr-task': 'of its own', binary: Uint8Array.of(0xff, n) },
      });
    }
    await it.start();
    await it.settled();
    await it.stop();

    const letters = await recordsOf(dead);
    expect(letters.map(({ timestamp }) => jobs[timestamp - 5_000])).toEqual(
      jobs.filter((what) => what !== 'fine'),
    );
    for (const { key, value, headers, timestamp, partition } of letters) {
      const n = timestamp - 5_000;
      const what = jobs[n] as string;
      const stored = { n, what: what === 'invalid' ? 7 : what };
      expect([key, Buffer.from(value).toString(), partition]).toEqual([
        `key ${what}`,
        `  ${JSON.stringify(stored)} `,
        0,
      ]);
      const { binary, ...texts } = headers;
      expect(Buffer.from(binary as Uint8Array)).toEqual(Buffer.of(0xff, n));
      expect(headerTexts(texts)).toEqual({
        trace: `t${n}`,
        'mr-origin-topic': 'jobs',
        'mr-origin-partition': '3',
        'mr-origin-offset': String(n),
        'mr-origin-timestamp': String(timestamp),
        'mr-task': 'jobs/3',
        'mr-attempts': '1',
        ...{
          error: { 'mr-error-name': 'TypeError', 'mr-error-message': 'no such thing: ☃' },
          coded: {
            'mr-error-name': 'Refused',
            'mr-error-message': 'not today',
            'mr-error-code': 'E_REFUSED',
          },
          long: { 'mr-error-name': 'Error', 'mr-error-message': 'x'.repeat(1_000) },
          text: { 'mr-error-name': 'string', 'mr-error-message': 'just a text' },
          later: { 'mr-error-name': 'Error', 'mr-error-message': 'later' },
          invalid: {
            'mr-error-name': 'MillraceError',
            'mr-error-code': 'MR_SCHEMA_VIOLATION',
            'mr-error-message': `a value of topic jobs does not match its schema: what: Invalid input: expected string, received number; the value is { n: ${n}, what: 7 }`,
          },
        }[what],
      });
    }
  }));
