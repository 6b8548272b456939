import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { compareKeyIds, encodeKey, keyRef } from '../../src/codec/key.ts';
import { systemClock, VirtualClock } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import { checkpointStep } from '../../src/state/checkpoint.ts';
import { recover } from '../../src/state/recovery.ts';
import type { KeyedStore, WindowStore } from '../../src/state/store.ts';
import type { TaskState } from '../../src/state/task-state.ts';
import { builder, codec, oddKeys } from './support.ts';

const CHANGELOG = 'app-orders-changelog';
const STATE_ID = 7;
const CACHE_ROWS = 12;

/** A task's state over a broker, as its owner uses it. */
class Owner {
  state!: TaskState;
  readonly #broker: Broker;
  readonly #cacheRows: number;

  private constructor(broker: Broker, cacheRows: number) {
    this.#broker = broker;
    this.#cacheRows = cacheRows;
  }

  static async open(broker: Broker, cacheRows: number = CACHE_ROWS): Promise<Owner> {
    await broker.createTopic({
      name: CHANGELOG,
      partitions: 1,
      codec: 'rows',
      role: 'changelog',
    });
    const owner = new Owner(broker, cacheRows);
    await owner.recover();
    return owner;
  }

  async recover(): Promise<number> {
    const options = { cacheRows: this.#cacheRows };
    const recovered = await recover(this.#broker, CHANGELOG, 0, STATE_ID, options);
    this.state = recovered.state;
    return recovered.entries;
  }

  get rows(): KeyedStore {
    return this.state.keyed('rows', codec);
  }

  get windows(): WindowStore {
    return this.state.windowed('windows', codec);
  }

  async commit(): Promise<void> {
    const changelog = builder();
    this.state.takeDirty(changelog);
    if (changelog.count === 0) return;
    const frame = changelog.build();
    const placed = await this.#broker.append([{ topic: CHANGELOG, partition: 0, frame }]);
    expect(placed).toHaveLength(1);
    this.state.committed((await this.#broker.bounds(CHANGELOG, 0)).end);
  }

  async checkpoint(): Promise<void> {
    for (;;) {
      const { position, complete } = await checkpointStep(this.#broker, CHANGELOG, 0, STATE_ID);
      this.state.checkpointed(position);
      if (complete) return;
    }
  }

  set(key: unknown, value: unknown): void {
    this.rows.write(this.rows.cell(keyRef(key)), value);
  }

  get(key: unknown): unknown {
    const cell = this.rows.find(keyRef(key));
    return cell === undefined ? undefined : this.rows.read(cell);
  }
}

let broker: Broker;
beforeEach(async () => {
  broker = await openBroker('memory:', { clock: new VirtualClock(), random: seededRandom(1) });
});
afterEach(async () => {
  await broker.close();
});

/** Tells how often something has been looked for in the store since. */
function countLooks(of: Broker): () => number {
  const range = of.state.range.bind(of.state);
  let looks = 0;
  of.state.range = (...args) => {
    looks++;
    return range(...args);
  };
  return () => looks;
}

describe('rows that memory has no room for', () => {
  test('go when the checkpoint has them, and come back when somebody asks', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 100; n++) owner.set(`k${n}`, n);
    await owner.commit();
    expect(owner.state.rows).toBe(100);
    expect(owner.state.wantsCheckpoint).toBe(true);
    await owner.checkpoint();
    expect(owner.state.wantsCheckpoint).toBe(false);
    expect(owner.state.rows).toBeLessThanOrEqual(CACHE_ROWS);
    for (let n = 0; n < 100; n++) expect(owner.get(`k${n}`)).toBe(n);
    expect(owner.get('k100')).toBeUndefined();
    owner.state.trim();
    expect(owner.state.rows).toBeLessThanOrEqual(2 * CACHE_ROWS);
    expect([...owner.rows.rows()]).toHaveLength(100);
  });

  test('stay while they are dirty, or changed since the checkpoint', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 100; n++) owner.set(`k${n}`, n);
    await owner.commit();
    await owner.checkpoint();
    for (let n = 0; n < 20; n++) owner.set(`k${n}`, n + 1_000);
    await owner.commit();
    for (let n = 20; n < 30; n++) owner.set(`k${n}`, n + 1_000);
    for (let round = 0; round < 5; round++) {
      for (let n = 30; n < 100; n++) owner.get(`k${n}`);
      owner.state.trim();
    }
    expect(owner.rows.dirtyRows).toBe(10);
    for (let n = 0; n < 30; n++) expect(owner.get(`k${n}`)).toBe(n + 1_000);
    expect(owner.state.wantsCheckpoint).toBe(true);
  });

  test('that were deleted do not come back from the checkpoint', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 50; n++) owner.set(`k${n}`, n);
    await owner.commit();
    await owner.checkpoint();
    owner.set('k1', undefined);
    expect(owner.get('k1')).toBeUndefined();
    await owner.commit();
    owner.state.trim();
    expect(owner.get('k1')).toBeUndefined();
    expect([...owner.rows.rows()]).toHaveLength(49);
    await owner.recover();
    expect(owner.get('k1')).toBeUndefined();
    await owner.checkpoint();
    expect(owner.get('k1')).toBeUndefined();
    expect([...owner.rows.rows()]).toHaveLength(49);
  });

  test('that were changed while a checkpoint was taken stay as they are now', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 50; n++) owner.set(`k${n}`, n);
    await owner.commit();
    const { position } = await checkpointStep(broker, CHANGELOG, 0, STATE_ID);
    owner.set('k1', undefined);
    for (let n = 2; n < 9; n++) owner.set(`k${n}`, 'new');
    await owner.commit();
    owner.state.checkpointed(position);
    for (let round = 0; round < 5; round++) {
      for (let n = 30; n < 50; n++) owner.get(`k${n}`);
      owner.state.trim();
    }
    expect(owner.get('k1')).toBeUndefined();
    for (let n = 2; n < 9; n++) expect(owner.get(`k${n}`)).toBe('new');
    await owner.checkpoint();
    expect(owner.get('k1')).toBeUndefined();
    for (let n = 2; n < 9; n++) expect(owner.get(`k${n}`)).toBe('new');
  });

  test('that a recovery has replayed go with the next checkpoint', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 50; n++) owner.set(`k${n}`, n);
    await owner.commit();
    await owner.recover();
    expect([owner.state.rows, owner.state.wantsCheckpoint]).toEqual([50, true]);
    await owner.checkpoint();
    expect(owner.state.wantsCheckpoint).toBe(false);
    expect(owner.state.rows).toBeLessThanOrEqual(CACHE_ROWS);
  });

  test('of a window that has expired do not come back with it', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 30; n++) owner.set(`k${n}`, n);
    for (const key of ['a', 'b']) owner.windows.write(owner.windows.cell(0, keyRef(key)), 'old');
    await owner.commit();
    await owner.checkpoint();
    await owner.recover();
    owner.windows.expire(10);
    // With a longer grace than before.
    owner.windows.write(owner.windows.cell(0, keyRef('a')), 'new');
    expect(owner.windows.find(0, keyRef('b'))).toBeUndefined();
    expect([...owner.windows.rows(0)].map(([, value]) => value)).toEqual(['new']);
    await owner.commit();
    await owner.checkpoint();
    await owner.recover();
    expect([...owner.windows.rows(0)].map(([, value]) => value)).toEqual(['new']);
  });

  test('a miss asks the checkpoint once', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 50; n++) owner.set(`k${n}`, n);
    await owner.commit();
    await owner.checkpoint();
    await owner.recover();
    const looks = countLooks(broker);
    // As `table.set` does for a new key.
    const ref = keyRef('new');
    expect(owner.rows.find(ref)).toBeUndefined();
    owner.rows.write(owner.rows.cell(ref), 1);
    expect(looks()).toBe(1);
    owner.get('k7');
    owner.get('k7');
    expect(looks()).toBe(2);
  });

  test('what is used stays, what is not goes', async () => {
    const owner = await Owner.open(broker);
    for (let n = 0; n < 200; n++) owner.set(`k${n}`, n);
    await owner.commit();
    await owner.checkpoint();
    await owner.recover();
    const looks = countLooks(broker);
    for (let round = 0; round < 50; round++) {
      for (let n = 0; n < 4; n++) owner.get(`k${n}`);
      owner.get(`k${10 + round}`);
      owner.state.trim();
    }
    // 50 that are used once, and the four when they come in.
    expect(looks()).toBeLessThan(58);
  });
});

test('a small checkpoint is loaded, a large one is not', async () => {
  const owner = await Owner.open(broker);
  for (let n = 0; n < CACHE_ROWS; n++) owner.set(`k${n}`, n);
  await owner.commit();
  await owner.checkpoint();
  expect(await owner.recover()).toBe(CACHE_ROWS);
  expect([owner.state.rows, owner.rows.complete]).toEqual([CACHE_ROWS, true]);
  const { windows } = owner;
  for (const start of [-10, 0, 20]) windows.write(windows.cell(start, keyRef('a')), start);
  const long = keyRef('x'.repeat(5_000));
  windows.write(windows.cell(30, long), 30);
  const ttl = owner.state.keyed('timed', codec, 1_000);
  ttl.write(ttl.cell(long), 'here', null, 1);
  await owner.commit();
  await owner.checkpoint();
  owner.set('k1', 'changed');
  windows.expire(-5);
  await owner.commit();
  expect(await owner.recover()).toBe(2);
  expect([...owner.state.names()].toSorted()).toEqual(['rows', 'timed', 'windows']);
  expect(owner.rows.complete).toBe(false);
  expect(owner.state.rows).toBe(1);
  expect([owner.get('k0'), owner.get('k1')]).toEqual([0, 'changed']);
  expect(owner.windows.starts(-Infinity, Infinity)).toEqual([0, 20, 30]);
  expect([...owner.windows.rows(30)].map(([ref, value]) => [ref.key, value])).toEqual([
    [long.key, 30],
  ]);
  const timed = owner.state.keyed('timed', codec, 1_000);
  expect(timed.read(timed.cell(long))).toBe('here');
});

/** What can happen to a table that is much larger than memory. */
type Step =
  | { readonly do: 'set'; readonly key: number; readonly value: number | undefined }
  | { readonly do: 'update' | 'get'; readonly key: number }
  | {
      readonly do: 'window';
      readonly start: number;
      readonly key: number;
      readonly value: number | undefined;
    }
  | { readonly do: 'range'; readonly from: number; readonly to: number }
  | { readonly do: 'expire'; readonly by: number }
  | { readonly do: 'commit' | 'checkpoint' | 'recover' | 'trim' | 'look' };

const KEYS = 10 * CACHE_ROWS;
const number = fc.nat({ max: KEYS - 1 });
const optional = fc.option(fc.nat(), { nil: undefined, freq: 3 });
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({ do: fc.constant('set' as const), key: number, value: optional }),
    },
    { weight: 6, arbitrary: fc.record({ do: fc.constant('update' as const), key: number }) },
    { weight: 8, arbitrary: fc.record({ do: fc.constant('get' as const), key: number }) },
    {
      weight: 8,
      arbitrary: fc.record({
        do: fc.constant('window' as const),
        start: fc.integer({ min: -2, max: 6 }).map((n) => n * 10),
        key: fc.nat({ max: 15 }),
        value: optional,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('range' as const), from: number, to: number }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('expire' as const), by: fc.nat({ max: 25 }) }),
    },
    ...(['commit', 'checkpoint', 'recover', 'trim', 'look'] as const).map((step) => ({
      weight: step === 'commit' ? 5 : 2,
      arbitrary: fc.constant({ do: step }),
    })),
  ),
  { maxLength: 150, size: 'max' },
);

/** Keys of all kinds, short, odd and long. */
const keys: readonly unknown[] = [
  ...oddKeys,
  ...Array.from({ length: KEYS }, (_, n) =>
    n % 10 === 0 ? 'k'.repeat(1_200) + n : n % 3 === 0 ? n : `k${n}`,
  ),
].slice(0, KEYS);

interface Model {
  readonly rows: Map<string, unknown>;
  readonly windows: Map<number, Map<string, unknown>>;
  keptFrom: number;
}

async function run(owner: Owner, history: readonly Step[]): Promise<void> {
  let model: Model = { rows: new Map(), windows: new Map(), keptFrom: -Infinity };
  let committed = structuredClone(model);
  // Begins with a table that is too large.
  for (const [n, key] of keys.entries()) {
    owner.set(key, n);
    model.rows.set(keyRef(key).id, n);
  }
  await owner.commit();
  committed = structuredClone(model);
  for (const step of history) {
    const key = 'key' in step ? keys[step.key] : undefined;
    const id = key === undefined ? '' : keyRef(key).id;
    if (step.do === 'set') {
      owner.set(key, step.value);
      put(model.rows, id, step.value);
    } else if (step.do === 'get') {
      expect(owner.get(key)).toBe(model.rows.get(id));
    } else if (step.do === 'update') {
      const cell = owner.rows.cell(keyRef(key));
      const value = owner.rows.read(cell) as number | undefined;
      expect(value).toBe(model.rows.get(id));
      owner.rows.write(cell, (value ?? 0) + 1);
      put(model.rows, id, (value ?? 0) + 1);
    } else if (step.do === 'window') {
      if (step.start < model.keptFrom) continue;
      const cell = owner.windows.cell(step.start, keyRef(key));
      const window = model.windows.get(step.start) ?? new Map<string, unknown>();
      model.windows.set(step.start, window);
      expect(owner.windows.read(cell)).toBe(window.get(id));
      owner.windows.write(cell, step.value);
      put(window, id, step.value);
    } else if (step.do === 'range') {
      const [from, to] = [keys[step.from], keys[step.to]];
      const found = [...owner.rows.range(encodeKey(from), encodeKey(to))];
      expect(found.map(([ref, value]) => [ref.id, value])).toEqual(
        sorted(model.rows).filter(
          ([each]) =>
            compareKeyIds(each, keyRef(from).id) >= 0 && compareKeyIds(each, keyRef(to).id) < 0,
        ),
      );
    } else if (step.do === 'expire') {
      model.keptFrom = Math.max(model.keptFrom, -20) + step.by;
      owner.windows.expire(model.keptFrom);
      for (const start of model.windows.keys())
        if (start < model.keptFrom) model.windows.delete(start);
    } else if (step.do === 'commit') {
      await owner.commit();
      committed = structuredClone(model);
    } else if (step.do === 'checkpoint') {
      await owner.checkpoint();
    } else if (step.do === 'recover') {
      await owner.recover();
      model = structuredClone(committed);
    } else if (step.do === 'trim') {
      owner.state.trim();
    } else check(owner, model);
  }
  check(owner, model);
  await owner.commit();
  await owner.checkpoint();
  check(owner, model);
  await owner.recover();
  check(owner, model);
}

function check(owner: Owner, model: Model): void {
  const rows = [...owner.rows.rows()].map(([ref, value]) => [ref.id, value] as const);
  expect(sorted(new Map(rows))).toEqual(sorted(model.rows));
  expect(rows).toHaveLength(model.rows.size);
  const found = [...owner.rows.range()].map(([ref, value]) => [ref.id, value]);
  expect(found).toEqual(sorted(model.rows));
  for (const start of owner.windows.starts(-Infinity, Infinity)) {
    const window = [...owner.windows.range(start)].map(([ref, value]) => [ref.id, value]);
    expect(window).toEqual(sorted(model.windows.get(start) ?? new Map<string, unknown>()));
    expect([...owner.windows.rows(start)]).toHaveLength(window.length);
  }
  for (const [start, window] of model.windows)
    if (window.size > 0) expect(owner.windows.starts(start, start + 1)).toEqual([start]);
}

function sorted(rows: ReadonlyMap<string, unknown>): [string, unknown][] {
  return [...rows].toSorted(([a], [b]) => compareKeyIds(a, b));
}

function put(rows: Map<string, unknown>, id: string, value: unknown): void {
  if (value === undefined) rows.delete(id);
  else rows.set(id, value);
}

describe('a table ten times larger than memory is the table that a map is', () => {
  test('over a simulated store', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const each = await openBroker('memory:', {
          clock: new VirtualClock(),
          random: seededRandom(1),
        });
        await run(await Owner.open(each), history);
        await each.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test('over lmdb', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const directory = await mkdtemp(join(tmpdir(), 'millrace-state-'));
        const each = await openBroker(`file:${directory}`, {
          clock: systemClock(),
          random: seededRandom(1),
        });
        try {
          await run(await Owner.open(each), history);
        } finally {
          await each.close();
          await rm(directory, { recursive: true, force: true });
        }
      }),
      { numRuns: 4 },
    );
  }, 60_000);
});
