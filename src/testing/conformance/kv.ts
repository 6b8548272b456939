/**
 * What every store must do, as tests. The runner comes in, so the suite works under vitest and `node:test` alike, and for
 * drivers that live outside this package.
 *
 * Fault model: none. Kills, full disks and failing ones differ from driver to driver and have tests of their own.
 *
 * @module
 */
import assert from 'node:assert/strict';

import { MillraceError, type ErrorCode } from '../../core/errors.ts';
import { seededRandom } from '../../core/random.ts';
import type { Kv, KvEntry, KvRange, KvReader, KvTransaction } from '../../kv/kv.ts';
import { runModel } from './kv-model.ts';

/** A store under test, opened with {@link KV_TABLES}. */
export interface OpenedKv {
  readonly kv: Kv;
  /** Another opening of the same content, as another process would have it. Called before and after `kv` was closed. */
  readonly reopen: () => Promise<Kv>;
  /** Ends everything that was opened and deletes what it left. */
  readonly dispose: () => Promise<void>;
}

/** What the suite needs. */
export interface KvConformanceOptions {
  /** Put before the name of every test. */
  readonly name: string;
  /** Registers a test, as `test` of vitest and `node:test` do. */
  readonly test: (name: string, fn: () => Promise<void>) => unknown;
  /** An empty store with the tables {@link KV_TABLES}. */
  readonly open: () => Promise<OpenedKv>;
  /** Tests that do not apply, by name, and why. */
  readonly skip?: readonly { readonly name: string; readonly reason: string }[] | undefined;
  /** Seed of the random test. Default: `MILLRACE_SEED` of the environment, or a fixed one. Printed with a failure. */
  readonly seed?: number | undefined;
}

/** The tables that the suite uses. */
export const KV_TABLES: readonly string[] = ['first', 'second'];

const MODEL_TEST = 'a random run agrees with a model';

/** Registers the tests. @throws when `skip` names a test that is not there. */
export function kvConformance(options: KvConformanceOptions): void {
  const seed = options.seed ?? Number(process.env['MILLRACE_SEED'] ?? 20_010_101);
  const cases: Cases = {
    ...entryCases,
    ...rangeCases,
    ...bodyCases,
    ...lifeCases,
    [MODEL_TEST]: (bench) =>
      runModel(bench, seededRandom(seed)).catch((error: unknown) => {
        throw new Error(`seed ${seed} (replay with MILLRACE_SEED=${seed})`, { cause: error });
      }),
  };
  const skipped = new Set(options.skip?.map(({ name }) => name));
  for (const [name, run] of Object.entries(cases)) {
    if (skipped.delete(name)) continue;
    options.test(`${options.name}: ${name}`, async () => {
      const opened = await options.open();
      try {
        await run(opened);
      } finally {
        await opened.dispose();
      }
    });
  }
  if (skipped.size > 0)
    throw new Error(`skip names tests that do not exist: ${[...skipped].join(', ')}`);
}

type Cases = Readonly<Record<string, (bench: OpenedKv) => Promise<void>>>;

const entryCases: Cases = {
  'what was put is there, what was removed is not': async ({ kv }) => {
    assert.equal(kv.get('first', bytes('a')), undefined);
    await kv.transact((txn) => txn.put('first', bytes('a'), bytes('1')));
    assert.equal(text(kv.get('first', bytes('a'))), '1');
    assert.equal(kv.get('second', bytes('a')), undefined, 'tables are apart');
    await kv.transact((txn) => txn.put('first', bytes('a'), bytes('2')));
    assert.equal(text(kv.get('first', bytes('a'))), '2');
    await kv.transact((txn) => txn.remove('first', bytes('a')));
    assert.equal(kv.get('first', bytes('a')), undefined);
    await kv.transact((txn) => txn.remove('first', bytes('a')));
    assert.deepEqual(list(kv), []);
  },
  'every byte of keys and values is kept': async ({ kv }) => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    await kv.transact((txn) => {
      txn.put('first', all, all.toReversed());
      for (const byte of all) txn.put('second', Uint8Array.of(byte), Uint8Array.of(255 - byte));
    });
    assert.equal(hex(kv.get('first', all)), hex(all.toReversed()));
    assert.deepEqual(
      [...kv.range('second', {})].map(({ key, value }) => `${hex(key)} ${hex(value)}`),
      Array.from(all, (byte) => `${hex(Uint8Array.of(byte))} ${hex(Uint8Array.of(255 - byte))}`),
    );
  },
  'keys and values are copied in and out': async ({ kv }) => {
    const key = bytes('key');
    const value = bytes('value');
    await kv.transact((txn) => {
      txn.put('first', key, value);
      key.fill(120);
      value.fill(120);
      assert.equal(text(txn.get('first', bytes('key'))), 'value');
      spoil(txn);
      assert.equal(text(txn.get('first', bytes('key'))), 'value');
    });
    spoil(kv);
    assert.deepEqual(list(kv), ['key=value']);
    const kept = kv.get('first', bytes('key'));
    const [keptEntry] = kv.range('first', {});
    await kv.transact((txn) => txn.put('first', bytes('key'), bytes('other')));
    assert.equal(text(kv.get('first', bytes('key'))), 'other');
    assert.equal(text(kept), 'value');
    assert.equal(text(keptEntry?.value), 'value');
  },
  'parts of larger arrays are taken as they are': async ({ kv }) => {
    const large = bytes('..key..value..');
    await kv.transact((txn) => txn.put('first', large.subarray(2, 5), large.subarray(7, 12)));
    assert.deepEqual(list(kv), ['key=value']);
    assert.equal(text(kv.get('first', large.subarray(2, 5))), 'value');
  },
  'values may be empty, keys may not': async ({ kv }) => {
    const none = new Uint8Array();
    await kv.transact((txn) => txn.put('first', bytes('a'), none));
    assert.equal(kv.get('first', bytes('a'))?.length, 0);
    assert.deepEqual(list(kv), ['a=']);
    await fails(
      kv.transact((txn) => txn.put('first', none, bytes('1'))),
      'MR_KEY_INVALID',
    );
    await fails(
      kv.transact((txn) => txn.remove('first', none)),
      'MR_KEY_INVALID',
    );
    await fails(
      kv.transact((txn) => txn.get('first', none)),
      'MR_KEY_INVALID',
    );
    throws(() => kv.get('first', none), 'MR_KEY_INVALID');
  },
  'keys have a longest length': async ({ kv }) => {
    assert.ok(kv.maxKeyBytes >= 1024);
    const longest = new Uint8Array(kv.maxKeyBytes).fill(255);
    const longer = new Uint8Array(kv.maxKeyBytes + 1).fill(255);
    await kv.transact((txn) => txn.put('first', longest, bytes('1')));
    assert.equal(text(kv.get('first', longest)), '1');
    await fails(
      kv.transact((txn) => txn.put('first', longer, bytes('1'))),
      'MR_KEY_INVALID',
    );
    await fails(
      kv.transact((txn) => txn.remove('first', longer)),
      'MR_KEY_INVALID',
    );
    throws(() => kv.get('first', longer), 'MR_KEY_INVALID');
    assert.equal([...kv.range('first', {})].length, 1);
  },
  'large values': async ({ kv, reopen }) => {
    const sizes = [1, 4095, 4096, 4097, 100_000, 1 << 20, 5_000_001];
    await kv.transact((txn) => {
      for (const size of sizes) txn.put('first', bytes(`${size}`), pattern(size));
    });
    await kv.transact((txn) => {
      for (const size of sizes) assert.ok(same(txn.get('first', bytes(`${size}`)), pattern(size)));
    });
    const other = await reopen();
    for (const reader of [kv, other]) {
      for (const size of sizes) {
        const value = reader.get('first', bytes(`${size}`));
        assert.ok(same(value, pattern(size)), `${size} bytes`);
      }
      for (const { key, value } of reader.range('first', {}))
        assert.ok(same(value, pattern(Number(text(key)))));
    }
    await other.close();
  },
  'unknown tables are refused': async ({ kv }) => {
    const key = bytes('a');
    throws(() => kv.get('third', key), 'MR_ARGUMENT_INVALID');
    throws(() => [...kv.range('third', {})], 'MR_ARGUMENT_INVALID');
    await fails(
      kv.transact((txn) => txn.put('third', key, key)),
      'MR_ARGUMENT_INVALID',
    );
    await fails(
      kv.transact((txn) => txn.get('__proto__', key)),
      'MR_ARGUMENT_INVALID',
    );
  },
};

const rangeCases: Cases = {
  'ranges are sorted by bytes': async ({ kv }) => {
    const keys = ['00', '0000', '01', '7f', '80', '80ff', 'ff', 'ff00', 'ffff'];
    await kv.transact((txn) => {
      for (const key of ['80ff', 'ff', '01', 'ffff', '0000', '80', '00', 'ff00', '7f'])
        txn.put('first', Buffer.from(key, 'hex'), bytes('x'));
    });
    const found = (range: KvRange): string[] =>
      [...kv.range('first', range)].map(({ key }) => hex(key));
    assert.deepEqual(found({}), keys);
    assert.deepEqual(found({ reverse: true }), keys.toReversed());
  },
  'bounds: from is in, to is out, either may be missing or between keys': async ({ kv }) => {
    const keys = ['b', 'd', 'f', 'h'];
    await kv.transact((txn) => {
      for (const key of keys) txn.put('first', bytes(key), bytes('1'));
    });
    const bounds = [undefined, '', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'bb', 'h\0'];
    for (const from of bounds)
      for (const to of bounds) {
        const expected = keys.filter(
          (key) => (from === undefined || key >= from) && (to === undefined || key < to),
        );
        const range = { from: optional(from), to: optional(to) };
        const message = `from ${from} to ${to}`;
        const found = (extra: KvRange): (string | undefined)[] =>
          [...kv.range('first', { ...range, ...extra })].map(({ key }) => text(key));
        assert.deepEqual(found({}), expected, message);
        assert.deepEqual(found({ reverse: true }), expected.toReversed(), message);
        assert.deepEqual(found({ limit: 1 }), expected.slice(0, 1), message);
        assert.deepEqual(found({ limit: 2, reverse: true }), expected.toReversed().slice(0, 2));
      }
  },
  'bounds may be longer than any key': async ({ kv }) => {
    const longest = new Uint8Array(kv.maxKeyBytes).fill(7);
    const before = longest.with(kv.maxKeyBytes - 1, 6);
    const after = longest.with(kv.maxKeyBytes - 1, 8);
    await kv.transact((txn) => {
      for (const key of [before, longest, after]) txn.put('first', key, bytes('1'));
    });
    const bound = Buffer.concat([longest, Buffer.of(0)]);
    const found = (range: KvRange): string[] =>
      [...kv.range('first', range)].map(({ key }) => hex(key));
    for (const reverse of [false, true]) {
      const order = (keys: Uint8Array[]): string[] =>
        (reverse ? keys.toReversed() : keys).map((key) => hex(key));
      assert.deepEqual(found({ from: bound, reverse }), order([after]));
      assert.deepEqual(found({ to: bound, reverse }), order([before, longest]));
      assert.deepEqual(found({ from: longest, to: bound, reverse }), order([longest]));
      assert.deepEqual(found({ from: bound, to: bound, reverse }), []);
    }
  },
  'limits and early ends': async ({ kv }) => {
    await fill(kv, 1000);
    assert.deepEqual(list(kv, { limit: 0 }), []);
    assert.equal(list(kv, { limit: 10 }).length, 10);
    assert.equal(list(kv, { limit: 5000 }).length, 1000);
    for (let round = 0; round < 100; round++) {
      let seen = 0;
      for (const _ of kv.range('first', { reverse: round % 2 === 0 })) if (++seen === 3) break;
      assert.equal(seen, 3);
    }
    assert.throws(() => {
      for (const _ of kv.range('first', {})) throw new Error('of the caller');
    }, /of the caller/);
    const range = kv.range('first', { limit: 2 });
    assert.equal([...range].length, 2);
    assert.ok([...range].length <= 2, 'a range may be used up, but has no more than its limit');
  },
  '10,000 entries': async ({ kv }) => {
    await fill(kv, 10_000);
    const all = list(kv);
    assert.equal(all.length, 10_000);
    assert.deepEqual(all, all.toSorted());
    assert.deepEqual(list(kv, { reverse: true }), all.toReversed());
    await kv.transact((txn) => {
      for (const { key } of txn.range('first', { from: bytes('00002000'), to: bytes('00009000') }))
        txn.remove('first', key);
    });
    assert.deepEqual(list(kv), [...all.slice(0, 2000), ...all.slice(9000)]);
  },
  'ranges beside ranges, and gets inside them': async ({ kv }) => {
    await fill(kv, 50);
    const pairs: string[] = [];
    for (const outer of kv.range('first', { limit: 20 })) {
      for (const inner of kv.range('first', { limit: 2, reverse: true }))
        pairs.push(`${text(outer.key)} ${text(inner.key)}`);
      assert.equal(text(kv.get('first', outer.key)), text(outer.value));
    }
    assert.equal(new Set(pairs).size, 40);
  },
  'a suspended range goes on in the state that it finds': async ({ kv }) => {
    await fill(kv, 10);
    for (const reverse of [false, true]) {
      const expected = list(kv, { reverse });
      const found: string[] = [];
      for (const entry of kv.range('first', { reverse })) {
        found.push(show(entry));
        await kv.transact((txn) => txn.put('second', entry.key, entry.value));
      }
      assert.deepEqual(found, expected);
    }
    const seen: string[] = [];
    for (const entry of kv.range('first', {})) {
      seen.push(text(entry.key)!);
      await kv.transact((txn) => {
        if (seen.length === 1) txn.remove('first', bytes('00000001'));
        if (seen.length === 2) txn.put('first', bytes('00000002x'), bytes('new'));
        if (seen.length === 3) txn.put('first', bytes('00000000x'), bytes('behind'));
      });
    }
    assert.deepEqual(seen.slice(0, 4), ['00000000', '00000002', '00000002x', '00000003']);
    assert.equal(seen.length, 10);
  },
};

const bodyCases: Cases = {
  'a body has a result': async ({ kv }) => {
    assert.equal(await kv.transact(() => 7), 7);
    assert.equal(await kv.transact(() => undefined), undefined);
    const value = { of: 'the body' };
    assert.equal(await kv.transact(() => value), value);
  },
  'a body sees its own writes': async ({ kv }) => {
    await fill(kv, 5);
    await kv.transact((txn) => {
      txn.put('first', bytes('00000002'), bytes('mine'));
      txn.put('first', bytes('00000002x'), bytes('new'));
      txn.remove('first', bytes('00000003'));
      txn.put('first', bytes('00000004'), bytes('soon gone'));
      txn.remove('first', bytes('00000004'));
      txn.remove('first', bytes('nothing'));
      assert.equal(text(txn.get('first', bytes('00000002'))), 'mine');
      assert.equal(txn.get('first', bytes('00000003')), undefined);
      assert.equal(text(txn.get('first', bytes('00000001'))), '1');
      const expected = ['00000000=0', '00000001=1', '00000002=mine', '00000002x=new'];
      assert.deepEqual(list(txn), expected);
      assert.deepEqual(list(txn, { reverse: true }), expected.toReversed());
      assert.deepEqual(list(txn, { limit: 3 }), expected.slice(0, 3));
      assert.deepEqual(list(txn, { limit: 2, reverse: true }), expected.toReversed().slice(0, 2));
      assert.deepEqual(
        list(txn, { from: bytes('00000002'), to: bytes('00000003') }),
        expected.slice(2),
      );
      assert.deepEqual(list(txn, { from: bytes('00000003') }), []);
    });
    assert.equal(list(kv).length, 4);
  },
  'a range of a body sees what the body writes ahead of it': async ({ kv }) => {
    await fill(kv, 6);
    await kv.transact((txn) => {
      const seen: string[] = [];
      for (const { key } of txn.range('first', {})) {
        seen.push(text(key)!);
        if (seen.length === 1) {
          txn.remove('first', bytes('00000001'));
          txn.put('first', bytes('00000002'), bytes('changed'));
          txn.put('first', bytes('00000003x'), bytes('ahead'));
          txn.put('first', bytes('/'), bytes('behind'));
        }
      }
      assert.deepEqual(seen, [
        '00000000',
        '00000002',
        '00000003',
        '00000003x',
        '00000004',
        '00000005',
      ]);
      for (const { key } of txn.range('first', { reverse: true })) txn.remove('first', key);
      assert.deepEqual(list(txn), []);
    });
    assert.deepEqual(list(kv), []);
  },
  'a body that throws writes nothing, and its neighbours do': async ({ kv }) => {
    const error = new Error('of the body');
    const results = await Promise.allSettled([
      kv.transact((txn) => txn.put('first', bytes('a'), bytes('1'))),
      kv.transact((txn) => {
        txn.put('first', bytes('a'), bytes('2'));
        txn.put('first', bytes('b'), bytes('2'));
        throw error;
      }),
      kv.transact((txn) => {
        assert.equal(text(txn.get('first', bytes('a'))), '1');
        assert.equal(txn.get('first', bytes('b')), undefined);
        txn.put('first', bytes('c'), bytes('3'));
      }),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled'],
    );
    assert.equal(results[1].status === 'rejected' && results[1].reason, error);
    assert.deepEqual(list(kv), ['a=1', 'c=3']);
  },
  'whatever a body throws comes out': async ({ kv }) => {
    for (const thrown of ['text', undefined, null, 0]) {
      const result = await Promise.allSettled([
        kv.transact(() => {
          throw thrown;
        }),
      ]);
      assert.deepEqual(result, [{ status: 'rejected', reason: thrown }]);
    }
  },
  'asynchronous bodies are refused and write nothing': async ({ kv }) => {
    await fails(kv.transact(putAndThrowLater), 'MR_ARGUMENT_INVALID');
    assert.deepEqual(list(kv), []);
  },
  'a transaction ends with its body': async ({ kv }) => {
    await fill(kv, 3);
    let kept: KvTransaction | undefined;
    let walk: Iterator<KvEntry> | undefined;
    await kv.transact((txn) => {
      kept = txn;
      walk = txn.range('first', {})[Symbol.iterator]();
      walk.next();
    });
    throws(() => kept?.get('first', bytes('a')), 'MR_CLOSED');
    throws(() => kept?.put('first', bytes('a'), bytes('1')), 'MR_CLOSED');
    throws(() => kept?.remove('first', bytes('a')), 'MR_CLOSED');
    throws(() => kept?.range('first', {}), 'MR_CLOSED');
    throws(() => walk?.next(), 'MR_CLOSED');
    await kv.transact((txn) => {
      throws(() => kept?.get('first', bytes('a')), 'MR_CLOSED');
      txn.put('first', bytes('a'), bytes('1'));
    });
  },
  'the store itself is not read inside a body': async ({ kv }) => {
    await kv.transact(() => {
      throws(() => kv.get('first', bytes('a')), 'MR_ARGUMENT_INVALID');
      throws(() => kv.range('first', {}), 'MR_ARGUMENT_INVALID');
    });
    assert.equal(kv.get('first', bytes('a')), undefined);
  },
  'bodies run in the order of the calls, each after the one before': async ({ kv }) => {
    const order: number[] = [];
    const calls = Array.from({ length: 1000 }, (_, call) =>
      kv.transact((txn) => {
        order.push(call);
        const before = Number(text(txn.get('first', bytes('count'))) ?? 0);
        txn.put('first', bytes('count'), bytes(`${before + 1}`));
        return before;
      }),
    );
    const expected = Array.from(calls, (_, call) => call);
    assert.deepEqual(await Promise.all(calls), expected);
    assert.deepEqual(order, expected);
    assert.deepEqual(list(kv), ['count=1000']);
  },
  'a call from inside a body runs later': async ({ kv }) => {
    const order: string[] = [];
    let inner: Promise<void> | undefined;
    await kv.transact(() => {
      inner = kv.transact((txn) => {
        order.push('inner');
        txn.put('first', bytes('a'), bytes('1'));
      });
      order.push('outer');
    });
    await inner;
    assert.deepEqual(order, ['outer', 'inner']);
    assert.deepEqual(list(kv), ['a=1']);
  },
  'what was resolved is read at once, here and elsewhere': async ({ kv, reopen }) => {
    const other = await reopen();
    for (let round = 0; round < 50; round++) {
      const [writer, reader] = round % 2 === 0 ? [kv, other] : [other, kv];
      assert.equal(text(reader.get('first', bytes('a'))), round === 0 ? undefined : `${round - 1}`);
      await writer.transact((txn) => txn.put('first', bytes('a'), bytes(`${round}`)));
      assert.equal(text(writer.get('first', bytes('a'))), `${round}`);
      assert.equal(text(reader.get('first', bytes('a'))), `${round}`);
      assert.deepEqual(list(reader), [`a=${round}`]);
    }
    await other.close();
  },
  'two openings take turns': async ({ kv, reopen }) => {
    const other = await reopen();
    const lanes = [kv, other, kv, other].map(async (opening) => {
      for (let round = 0; round < 50; round++) await opening.transact(increment);
    });
    await Promise.all(lanes);
    assert.deepEqual(list(kv), ['count=200']);
    await other.close();
  },
};

const lifeCases: Cases = {
  'flush waits for what was called so far': async ({ kv }) => {
    await kv.flush();
    let ended = 0;
    const calls = [1, 2, 3].map((call) =>
      kv.transact((txn) => {
        txn.put('first', bytes(`${call}`), bytes('1'));
        if (call === 2) throw new Error('of the body');
      }),
    );
    const counted = calls.map((call) => call.catch(() => {}).then(() => ended++));
    await kv.flush();
    assert.deepEqual(list(kv), ['1=1', '3=1']);
    await Promise.all(counted);
    assert.equal(ended, 3);
    await kv.flush();
  },
  'close lets running transactions end and refuses later ones': async ({ kv, reopen }) => {
    const running = Array.from({ length: 20 }, (_, call) =>
      kv.transact((txn) => txn.put('first', bytes(`${call + 10}`), bytes('1'))),
    );
    const closing = kv.close();
    await fails(
      kv.transact(() => 1),
      'MR_CLOSED',
    );
    throws(() => kv.get('first', bytes('a')), 'MR_CLOSED');
    throws(() => kv.range('first', {}), 'MR_CLOSED');
    await Promise.all(running);
    await closing;
    await kv.close();
    await kv.flush();
    await fails(
      kv.transact(() => 1),
      'MR_CLOSED',
    );
    const other = await reopen();
    assert.equal(list(other).length, 20);
    await other.close();
  },
  'a range that is under way ends with the store': async ({ kv }) => {
    await fill(kv, 10);
    const walk = kv.range('first', {})[Symbol.iterator]();
    assert.equal(walk.next().done, false);
    await kv.close();
    throws(() => walk.next(), 'MR_CLOSED');
  },
  'everything acknowledged is there after opening again': async ({ kv, reopen }) => {
    await fill(kv, 500);
    const before = list(kv);
    await kv.close();
    const other = await reopen();
    assert.deepEqual(list(other), before);
    await other.transact((txn) => txn.put('first', bytes('x'), bytes('1')));
    await other.close();
    const third = await reopen();
    assert.deepEqual(list(third), [...before, 'x=1']);
    await third.close();
  },
};

function bytes(string: string): Uint8Array {
  return new TextEncoder().encode(string);
}

function optional(string: string | undefined): Uint8Array | undefined {
  return string === undefined ? undefined : bytes(string);
}

function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : new TextDecoder().decode(value);
}

function hex(value: Uint8Array | undefined): string {
  return value === undefined ? 'nothing' : Buffer.from(value).toString('hex');
}

function show({ key, value }: KvEntry): string {
  return `${text(key)}=${text(value)}`;
}

/** The entries of table `first` as `key=value`. */
function list(reader: KvReader, range: KvRange = {}): string[] {
  return [...reader.range('first', range)].map(show);
}

function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0;
}

function pattern(size: number): Uint8Array {
  return new Uint8Array(size).map((_, at) => at * 31 + size);
}

/** Puts `count` entries into table `first`: `00000000=0` and so on. */
async function fill(kv: Kv, count: number): Promise<void> {
  await kv.transact((txn) => {
    for (let number = 0; number < count; number++)
      txn.put('first', bytes(`${number}`.padStart(8, '0')), bytes(`${number}`));
  });
}

/** Writes into everything that can be read from table `first`. */
function spoil(reader: KvReader): void {
  for (const { key, value } of reader.range('first', {})) {
    reader.get('first', key)?.fill(121);
    key.fill(121);
    value.fill(121);
  }
}

/** A body that must not be. */
async function putAndThrowLater(txn: KvTransaction): Promise<void> {
  txn.put('first', bytes('a'), bytes('1'));
  await Promise.resolve();
  throw new Error('nobody awaits this');
}

/** A body that adds one to `count`. */
function increment(txn: KvTransaction): void {
  const before = Number(text(txn.get('first', bytes('count'))) ?? 0);
  txn.put('first', bytes('count'), bytes(`${before + 1}`));
}

async function fails(call: Promise<unknown>, code: ErrorCode): Promise<void> {
  await assert.rejects(call, (error) => MillraceError.is(error) && error.code === code);
}

function throws(call: () => unknown, code: ErrorCode): void {
  assert.throws(call, (error) => MillraceError.is(error) && error.code === code);
}
