/** Dead letters, and events that an agent acknowledges itself. */
import { App, bytes, deadLetter, gzip, json, pipe, retry } from 'millrace';
import type { StreamEvent } from 'millrace';
import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';

import { runApp } from './support.ts';

test('20: what fails is put aside as it was stored; an agent acknowledges by hand', async () => {
  const app = new App('dlq', { broker: 'memory:', processing: 'at-least-once' });
  const Raw = z.object({
    at: z.iso.datetime().transform((t) => new Date(t)),
    n: z.coerce.number<string>(),
  });
  const codec = pipe(json, gzip);
  const raw = app.topic('raw', { value: Raw, codec, timestamp: (r) => r.at.getTime() });
  const dead = app.topic('raw.dead', { value: bytes });
  const times: string[] = [];
  raw
    .stream()
    .onError(retry({ times: 2 }).orElse(deadLetter(dead)))
    .map((r) => {
      if (r.n < 0) throw new RangeError(`${r.n} is negative`);
      return r.at.getTime();
    })
    .sink((t) => times.push(t.toFixed()));
  const acknowledged: number[] = [];
  app.agent('manual', raw, async (s) => {
    for await (const e of s.events({ ack: 'manual' })) {
      expectTypeOf(e).toEqualTypeOf<StreamEvent<{ at: Date; n: number }, string | null>>();
      acknowledged.push(e.value.n);
      try {
        e.ack();
      } catch (error) {
        e.nack(error);
      }
    }
  });
  const at = '2026-01-01T00:00:00Z';
  await runApp(
    app,
    async () => {
      await raw.send({ at, n: '3' });
      await raw.send({ at, n: '-3' });
    },
    async () => {
      expect(times).toEqual([String(Date.parse(at))]);
      expect(new Set(acknowledged)).toEqual(new Set([-3, 3]));
      const letters = await Array.fromAsync(dead.records());
      expect(letters.map(({ value }) => codec.decode(value))).toEqual([{ at, n: '-3' }]);
      const [letter] = letters;
      expect(String(letter?.headers['mr-error-message'])).toBe('-3 is negative');
      expect(String(letter?.headers['mr-attempts'])).toBe('3');
    },
  );
});
