/** Broker objects that tell each other: nothing here waits for the clock, which stands still unless a test moves it. */
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';

import type { Broker } from '../../../src/broker/broker.ts';
import type { Accept, Link, Links } from '../../../src/broker/groups/links.ts';
import { LocalHub } from '../../../src/broker/groups/local-links.ts';
import { encodeHello, encodePoke } from '../../../src/broker/groups/messages.ts';
import { socketLinks } from '../../../src/broker/groups/sockets.ts';
import { logTables, openLog } from '../../../src/broker/log/index.ts';
import { Listeners } from '../../../src/broker/log/listeners.ts';
import { openBroker } from '../../../src/broker/open.ts';
import { VirtualClock } from '../../../src/core/clock.ts';
import { systemRandom } from '../../../src/core/random.ts';
import { simulatedKv } from '../../../src/kv/simulated/simulated.ts';
import { joined, owned, settled } from '../../../src/testing/conformance/broker/bench.ts';
import { frameOf, textsOf } from '../log-over.ts';

const spec = { name: 't', partitions: 1, codec: 'utf8', role: 'source' } as const;
const EIGHT = Array.from({ length: 8 }, (_, i) => `a/${i}`);

interface Meeting {
  readonly clock: VirtualClock;
  readonly open: (wrap?: (links: Links) => Links) => Promise<Broker>;
  /** How many of them can be told of changes. */
  readonly listening: () => number;
}

function scratch(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'millrace-neighbours-')));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Broker objects of one store, connected by the links that `links` makes. */
function meeting(links: () => Links): Meeting {
  const clock = new VirtualClock(1_000_000);
  const kv = simulatedKv({ tables: logTables, clock });
  return {
    clock,
    listening: () => new Listeners(kv, clock).read().size,
    open: async (wrap = (made) => made) => {
      const broker = await openLog({
        kv: kv.reopen(),
        url: 'file:./simulated',
        clock,
        random: systemRandom(),
        links: wrap(links()),
      });
      onTestFinished(async () => await broker.close());
      return broker;
    },
  };
}

describe.each<[string, () => Meeting]>([
  [
    'local',
    () => {
      const hub = new LocalHub();
      return meeting(() => hub.open());
    },
  ],
  [
    'sockets',
    () => {
      const directory = scratch();
      const random = systemRandom();
      return meeting(() => socketLinks({ directory, clock: new VirtualClock(), random }));
    },
  ],
])('%s', (_, meet) => {
  test('an append wakes those who wait elsewhere, from a broker object in no group', async () => {
    const { clock, open } = meet();
    const [waiter, other] = [await open(), await open()];
    await waiter.createTopic(spec);
    const member = await joined(waiter, 'g', ['x']);
    for (let i = 0; i < 20; i++) {
      const since = waiter.changes();
      const woken = waiter.changed(since, 60_000);
      await other.append([{ topic: 't', partition: 0, frame: frameOf(`${i}`) }]);
      await woken;
      expect(waiter.changes()).toBeGreaterThan(since);
    }
    expect(await textsOf(waiter, 't')).toHaveLength(20);
    expect(clock.monotonic()).toBe(0);
    await member.leave();
  });

  test('whoever waits without being in a group is told as well, and of commits', async () => {
    const { clock, open, listening } = meet();
    const [waiter, other] = [await open(), await open()];
    const member = await joined(other, 'g', ['x']);
    // The first wait makes it listen. What is committed before that is done, the poll finds.
    let since = waiter.changes();
    const first = waiter.changed(since, 60_000);
    await member.commit({
      task: 'x',
      epoch: 1,
      positions: [],
      meta: new Uint8Array(),
      outputs: [],
    });
    while (listening() < 2) await clock.turn();
    for (let i = 0; i < 50; i++) await clock.turn();
    await clock.advance(10);
    await first;
    const at = clock.monotonic();
    for (let i = 0; i < 5; i++) {
      since = waiter.changes();
      const woken = waiter.changed(since, 60_000);
      await member.commit({
        task: 'x',
        epoch: 1,
        positions: [],
        meta: new Uint8Array(),
        outputs: [],
      });
      await woken;
    }
    expect(clock.monotonic()).toBe(at);
  });

  test('a member hears that another one joins, gives back, and leaves', async () => {
    const { clock, open } = meet();
    const [one, two] = [await open(), await open()];
    const first = await joined(one, 'g', EIGHT);
    await first.tend();
    const told = async (broker: Broker, since: number): Promise<void> =>
      await broker.changed(since, 60_000);
    let since = one.changes();
    const second = await joined(two, 'g', EIGHT);
    await told(one, since);
    expect(first.tendAt).toBeLessThanOrEqual(clock.monotonic());
    const { revoked } = await first.tend();
    await second.tend();
    since = two.changes();
    await first.release(revoked);
    await told(two, since);
    expect((await second.tend()).gained).toHaveLength(4);
    await first.tend();
    since = one.changes();
    await second.leave();
    await told(one, since);
    await first.tend();
    expect(owned(first)).toEqual(EIGHT);
    expect(clock.monotonic()).toBe(0);
  });

  test('a broker object that ends without leaving is found dead at once', async () => {
    const { clock, open } = meet();
    const [one, two, three] = [await open(), await open(), await open()];
    const first = await joined(one, 'g', EIGHT);
    const second = await joined(two, 'g', EIGHT);
    await settled(first, second);
    const since = one.changes();
    const woken = one.changed(since, 60_000);
    await two.close();
    await woken;
    expect(first.tendAt).toBeLessThanOrEqual(clock.monotonic());
    await first.tend();
    expect(owned(first)).toEqual(EIGHT);
    // And whoever joins then does not count with those who died unseen.
    await one.close();
    const third = await joined(three, 'g', EIGHT);
    expect(owned(third)).toEqual(EIGHT);
    expect(clock.monotonic()).toBe(0);
  });

  test('asking an owner that dies fails, and is to be tried again', async () => {
    const { open } = meet();
    const [one, two] = [await open(), await open()];
    let asked = (): void => {};
    const heard = new Promise<void>((resolve) => {
      asked = resolve;
    });
    await joined(two, 'g', ['x'], {
      answer: () => {
        asked();
        return new Promise<Uint8Array>(() => {});
      },
    });
    const failing = one.ask('g', 'x', new Uint8Array(1));
    failing.catch(() => {});
    await heard;
    await two.close();
    await expect(failing).rejects.toMatchObject({ code: 'MR_NO_OWNER', retryable: true });
    await expect(one.ask('g', 'x', new Uint8Array(1))).rejects.toMatchObject({
      code: 'MR_NO_OWNER',
      retryable: true,
    });
  });

  test('no more than 1,000 questions wait', async () => {
    const { clock, open } = meet();
    const [one, two] = [await open(), await open()];
    await joined(two, 'g', ['x'], { answer: () => new Promise<Uint8Array>(() => {}) });
    const controller = new AbortController();
    const { signal } = controller;
    const asked = Array.from({ length: 1000 }, () =>
      one.ask('g', 'x', new Uint8Array(1), { signal }),
    );
    const ended = Promise.allSettled(asked);
    await expect(one.ask('g', 'x', new Uint8Array(1))).rejects.toMatchObject({
      code: 'MR_OVERFLOW',
      retryable: true,
    });
    controller.abort();
    for (const { status } of await ended) expect(status).toBe('rejected');
    const late = one.ask('g', 'x', new Uint8Array(1), { timeoutMs: 1 });
    late.catch(() => {});
    await clock.advance(1);
    await expect(late).rejects.toMatchObject({
      code: expect.stringMatching(/TIMEOUT|OVERFLOW/) as string,
    });
  });
});

/** Links that count what is sent over those that they make. */
function counting(links: Links, sent: Buffer[]): Links {
  return {
    listen: async (accept) => await links.listen(accept),
    connect: async (address, accept) => {
      const counted: Accept = (link) => accept(link);
      const link = await links.connect(address, counted);
      if (link === undefined) return undefined;
      const wrapped: Link = {
        send: (message) => {
          sent.push(Buffer.from(message));
          return link.send(message);
        },
        close: () => link.close(),
      };
      return wrapped;
    },
    close: async () => await links.close(),
  };
}

test('one who does not wait is poked once, and again when it waits', async () => {
  const hub = new LocalHub();
  const { open } = meeting(() => hub.open());
  const sent: Buffer[] = [];
  const [busy, loud] = [await open(), await open((links) => counting(links, sent))];
  await busy.createTopic(spec);
  await joined(busy, 'g', ['x']);
  const append = async (): Promise<unknown> =>
    await loud.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
  for (let i = 0; i < 10; i++) await append();
  const pokes = (): number =>
    sent.filter((message) => message.equals(encodePoke('poke', 'changes'))).length;
  expect(sent[0]).toEqual(encodeHello());
  expect(pokes()).toBe(1);
  const since = busy.changes();
  const woken = busy.changed(since, 60_000);
  await append();
  await woken;
  for (let i = 0; i < 10; i++) await append();
  expect(pokes()).toBeLessThanOrEqual(4);
});

test('rows of dead listeners are cleared away by whoever comes upon them', async () => {
  const hub = new LocalHub();
  const clock = new VirtualClock();
  const kv = simulatedKv({ tables: logTables, clock });
  const open = async (store: ReturnType<typeof simulatedKv>): Promise<Broker> =>
    await openLog({ kv: store, url: 'file:./x', clock, random: systemRandom(), links: hub.open() });
  const doomedKv = kv.reopen();
  const doomed = await open(doomedKv);
  await doomed.join('g', { tasks: [{ id: 'x' }], topology: '' });
  doomedKv.crash();
  await doomed.close();
  expect([...kv.range('listeners', {})]).toHaveLength(1);
  const broker = await open(kv);
  await broker.createTopic(spec);
  await broker.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
  for (let i = 0; i < 20; i++) await clock.turn();
  expect([...kv.range('listeners', {})]).toHaveLength(0);
  await broker.close();
});

test('without a place for sockets everything works, by looking', async () => {
  const directory = scratch();
  writeFileSync(join(directory, 'sockets'), 'in the way');
  const clock = new VirtualClock();
  const links: Links = {
    listen: async () => await Promise.reject(new Error('not here')),
    connect: async () => await Promise.reject(new Error('not here')),
    close: async () => {},
  };
  const { open } = meeting(() => links);
  const [one, two] = [await open(), await open()];
  const first = await joined(one, 'g', EIGHT);
  const second = await joined(two, 'g', EIGHT);
  await settled(first, second);
  expect(owned(first)).toHaveLength(4);
  await expect(one.ask('g', owned(second)[0] ?? '', new Uint8Array(1))).rejects.toMatchObject({
    code: 'MR_NO_OWNER',
  });
  // The file in the way of the directory: another place is found.
  const broker = await openBroker(`file:${directory}`, { clock, random: systemRandom() });
  const member = await joined(broker, 'g', ['x']);
  expect(owned(member)).toEqual(['x']);
  await broker.close();
});
