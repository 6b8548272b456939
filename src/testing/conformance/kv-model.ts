/**
 * A random run against a store and a model of it, a plain Map: bodies with puts, removals, reads and ranges, several at a time,
 * some of which throw, some through another opening; and the store closed and opened again in between.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type { Random } from '../../core/random.ts';
import type { Kv, KvRange, KvReader } from '../../kv/kv.ts';
import type { OpenedKv } from './kv.ts';

const TABLES = ['first', 'second'] as const;
const ROUNDS = 60;
const MAX_BODIES = 8;
const MAX_STEPS = 40;

/** `table key` in hexadecimal → value in hexadecimal. */
type Model = Map<string, string>;

/** Runs it. Rejects at the first difference. */
export async function runModel(bench: OpenedKv, random: Random): Promise<void> {
  let committed: Model = new Map();
  let openings = [bench.kv, await bench.reopen()];
  for (let round = 0; round < ROUNDS; round++) {
    if (random.below(10) === 0) {
      for (const opening of openings) await opening.close();
      openings = [await bench.reopen(), await bench.reopen()];
    }
    // One opening at a time: between openings the order of bodies is not the order of the calls.
    const opening = openings[random.below(openings.length)] as Kv;
    const calls = Array.from({ length: 1 + random.below(MAX_BODIES) }, (_, call) => {
      const throwing = random.below(5) === 0;
      return opening
        .transact((txn) => {
          const own: Model = new Map(committed);
          for (let step = random.below(MAX_STEPS); step > 0; step--) {
            const table = TABLES[random.below(2)] as string;
            const key = randomKey(random);
            switch (random.below(6)) {
              case 0:
                check(txn, own, random);
                break;
              case 1:
                assert.equal(hex(txn.get(table, key)), own.get(`${table} ${hex(key)}`));
                break;
              case 2:
                txn.remove(table, key);
                own.delete(`${table} ${hex(key)}`);
                break;
              default: {
                const value = randomValue(random);
                txn.put(table, key, value);
                own.set(`${table} ${hex(key)}`, hex(value) as string);
              }
            }
          }
          check(txn, own, random);
          if (throwing) throw new Thrown();
          committed = own;
          return call;
        })
        .then((result) => assert.equal(result, call))
        .catch((error: unknown) => {
          if (!(throwing && error instanceof Thrown)) throw error;
        });
    });
    await Promise.all(calls);
    for (const reader of openings) check(reader, committed, random);
  }
  for (const opening of openings) await opening.close();
}

class Thrown extends Error {}

/** A random range in either direction. */
function check(reader: KvReader, model: Model, random: Random): void {
  const table = TABLES[random.below(2)] as string;
  const range: KvRange = {
    from: random.below(3) === 0 ? undefined : randomKey(random),
    to: random.below(3) === 0 ? undefined : randomKey(random),
    reverse: random.below(2) === 0,
    limit: random.below(3) === 0 ? random.below(10) : undefined,
  };
  const [from, to] = [hex(range.from), hex(range.to)];
  let expected = [...model]
    .filter(([name]) => name.startsWith(`${table} `))
    .map(([name, value]) => ({ key: name.slice(table.length + 1), value }))
    .filter(({ key }) => (from === undefined || key >= from) && (to === undefined || key < to))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1));
  if (range.reverse === true) expected = expected.toReversed();
  if (range.limit !== undefined) expected = expected.slice(0, range.limit);
  const found = [...reader.range(table, range)].map(({ key, value }) => ({
    key: hex(key),
    value: hex(value),
  }));
  assert.deepEqual(found, expected);
}

/** Few keys, so that they meet again; of one to three bytes with the lowest and the highest among them. */
function randomKey(random: Random): Uint8Array {
  const letters = [0, 1, 127, 128, 255];
  return Uint8Array.from(
    { length: 1 + random.below(3) },
    () => letters[random.below(letters.length)] as number,
  );
}

function randomValue(random: Random): Uint8Array {
  const size = random.below(8) === 0 ? random.below(20_000) : random.below(20);
  return new Uint8Array(size).fill(random.below(256));
}

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
}
