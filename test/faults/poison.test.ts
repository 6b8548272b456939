/** One record in a hundred is poison: the good ones are all processed, the others are dead letters that say where they come from. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { z } from 'zod';

import { App, deadLetter, unchecked } from '../../src/index.ts';
import type { Topic } from '../../src/index.ts';
import { systemClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { headerTexts } from './header-texts.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const EVENTS = 200_000;
const ROUNDS = 3;
const clock = systemClock();

const Sale = z.object({ n: z.number(), shop: z.string(), cents: z.number() });
type Sale = z.infer<typeof Sale>;

/** What is wrong with sale `n`: its handler throws, or it is none. */
type Poison = 'thrown' | 'invalid';

interface Round {
  readonly ms: number;
  /** Of each dead letter. */
  readonly dead: ReadonlyMap<number, Readonly<Record<string, string>>>;
  readonly places: ReadonlyMap<number, string>;
  readonly cents: Readonly<Record<string, number>>;
  readonly stats: { readonly events: number; readonly deadLettered: number };
}

async function round(poison: ReadonlyMap<number, Poison>): Promise<Round> {
  return await withDirectory(async (directory) => {
    const broker = `file:${directory}` as const;
    // Whoever sends checks nothing.
    const other = new App('other', { broker });
    const raw: Topic<string, object> = other.topic('sales', {
      key: unchecked<string>(),
      value: unchecked<object>(),
    });
    const producer = await raw.producer({ id: 'loader' });
    for (let n = 0; n < EVENTS; n++) {
      const shop = `shop-${n % 50}`;
      const sale = { n, shop, cents: n % 1_000 };
      const wait = producer.send(poison.get(n) === 'invalid' ? { ...sale, cents: 'many' } : sale, {
        key: shop,
      });
      if (wait !== undefined) await wait;
    }
    await producer.close();

    const app = new App('poisoned', { broker, onError: deadLetter('dead') });
    const sales = app.topic('sales', { key: unchecked<string>(), value: Sale, validate: 'out' });
    const dead = app.topic('dead', { key: unchecked<string>(), value: unchecked<{ n: number }>() });
    const totals = app.table('totals', { default: () => 0 });
    sales.stream().update(totals, (cents, sale) => cents + sale.cents);
    sales.stream().sink((sale) => {
      if (poison.get(sale.n) === 'thrown') throw new TypeError(`sale ${sale.n} is poison`);
    });
    const begun = clock.monotonic();
    const running = await app.start();
    await running.settled();
    const ms = clock.monotonic() - begun;
    const { events, deadLettered } = running.stats;
    await running.stop();

    const places = new Map<number, string>();
    for await (const { value, partition, offset } of raw.records())
      places.set((value as Sale).n, `${partition}/${offset}`);
    const found = new Map<number, Readonly<Record<string, string>>>();
    for await (const { value, headers } of dead.records()) {
      expect(found.has(value.n), `sale ${value.n} twice`).toBe(false);
      found.set(value.n, headerTexts(headers));
    }
    const cents = Object.fromEntries(await Array.fromAsync(totals.snapshot()));
    await app.close();
    await other.close();
    return { ms, dead: found, places, cents, stats: { events, deadLettered } };
  });
}

test('1 % poison', async () => {
  const random = seededRandom(seed);
  const poison = new Map<number, Poison>();
  while (poison.size < EVENTS / 100)
    poison.set(random.below(EVENTS), random.below(2) === 0 ? 'thrown' : 'invalid');
  const wanted: Record<string, number> = {};
  for (let n = 0; n < EVENTS; n++)
    if (!poison.has(n)) wanted[`shop-${n % 50}`] = (wanted[`shop-${n % 50}`] ?? 0) + (n % 1_000);

  const cleanMs: number[] = [];
  const poisonedMs: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    cleanMs.push((await round(new Map())).ms);
    const poisoned = await round(poison);
    poisonedMs.push(poisoned.ms);
    expect(poisoned.stats).toEqual({ events: EVENTS, deadLettered: poison.size });
    expect(poisoned.cents).toEqual(wanted);
    expect(poisoned.dead.size).toBe(poison.size);
    for (const [n, kind] of poison) {
      const headers = poisoned.dead.get(n);
      const place = `${headers?.['mr-origin-partition']}/${headers?.['mr-origin-offset']}`;
      expect(place).toBe(poisoned.places.get(n));
      expect(headers).toMatchObject(
        kind === 'thrown'
          ? { 'mr-error-name': 'TypeError', 'mr-error-message': `sale ${n} is poison` }
          : { 'mr-error-code': 'MR_SCHEMA_VIOLATION' },
      );
      expect(headers).toMatchObject({ 'mr-origin-topic': 'sales', 'mr-attempts': '1' });
    }
  }
  const [clean, poisoned] = [Math.min(...cleanMs), Math.min(...poisonedMs)];
  process.stdout.write(
    `poison: seed ${seed}, ${EVENTS} events in ${clean.toFixed(0)} ms, with ${poison.size} poisonous ones in ${poisoned.toFixed(0)} ms: ${((poisoned / clean - 1) * 100).toFixed(1)} % slower (best of ${ROUNDS})\n`,
  );
});
