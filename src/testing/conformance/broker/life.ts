/**
 * Reopening, waiting for changes, closing.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type { Position } from '../../../broker/broker.ts';
import {
  append,
  commitOf,
  fails,
  joined,
  produce,
  quiet,
  readAll,
  topicSpec,
  type Cases,
} from './bench.ts';

export const lifeCases: Cases = {
  'what was acknowledged is there after reopening': async ({ broker, reopen }) => {
    if (!broker.capabilities.durable) return;
    await broker.createTopic(topicSpec('t', { partitions: 2 }));
    await broker.openProducer('loader');
    await produce(broker, 1, 1, 'p', 'a', 'b');
    await append(broker, 't', 0, 'c');
    await append(broker, 't', 1, 'd');
    const member = await joined(broker, 'g', ['x'], { topology: 'T' });
    const positions: Position[] = [{ topic: 't', partition: 0, offset: 2 }];
    await member.commit({ task: 'x', epoch: 1, positions, meta: Uint8Array.of(5), outputs: [] });
    await broker.truncate('t', 0, 2);
    await broker.state.transact((txn) => txn.put('state', Uint8Array.of(1), Uint8Array.of(2)));
    const stateId = member.tasks[0]?.stateId;
    await broker.close();
    const again = await reopen();
    assert.deepEqual(await again.topics(), [topicSpec('t', { partitions: 2 })]);
    assert.deepEqual(await again.bounds('t', 0), { start: 2, end: 3 });
    assert.deepEqual(await readAll(again, 't', 0, 2), [[2, 'c']]);
    assert.deepEqual(await readAll(again, 't', 1), [[0, 'd']]);
    assert.deepEqual((await again.openProducer('loader')).epoch, 2);
    assert.deepEqual([...(again.state.get('state', Uint8Array.of(1)) ?? [])], [2]);
    const info = await again.describeGroup('g');
    assert.deepEqual(
      [info?.topology, info?.tasks[0]?.positions, info?.tasks[0]?.stateId],
      ['T', positions, stateId],
    );
    const fresh = await joined(again, 'h', ['x']);
    assert.notEqual(fresh.tasks[0]?.stateId, stateId, 'a number is never given twice');
    assert.equal((await append(again, 't', 0, 'e')).baseOffset, 3);
  },
  'changed wakes on an append and on a commit': async ({ broker, reopen, clock }) => {
    await broker.createTopic(topicSpec('t'));
    const member = await joined(broker, 'g', ['x']);
    let since = broker.changes();
    const woken = broker.changed(since, 60_000);
    await append(broker, 't', 0, 'a');
    await woken;
    assert.ok(broker.changes() > since);
    since = broker.changes();
    const again = broker.changed(since, 60_000);
    await member.commit(commitOf('x', 1, []));
    await again;
    since = broker.changes();
    const other = await reopen();
    const foreign = broker.changed(since, 60_000);
    await append(other, 't', 0, 'b');
    await clock.advance(10_000);
    await foreign;
    assert.ok(clock.monotonic() < 60_000 + 10_000, 'before the time was over');
    assert.ok(broker.changes() > since);
    assert.equal((await readAll(other, 't', 0)).length, 2);
  },
  'changed loses no wake-up between two calls': async ({ broker, reopen }) => {
    await broker.createTopic(topicSpec('t'));
    const other = await reopen();
    const since = broker.changes();
    await append(broker, 't', 0, 'a');
    await append(other, 't', 0, 'b');
    // Whoever has looked before hears of it, however often somebody else has asked meanwhile.
    await broker.changed(since, 60_000);
    await broker.changed(since, 60_000);
    const now = broker.changes();
    const both = Promise.all([broker.changed(now, 60_000), broker.changed(now, 60_000)]);
    await append(broker, 't', 0, 'c');
    await both;
  },
  'changed wakes when something happens to a group': async ({ broker, reopen, clock }) => {
    const member = await joined(broker, 'g', ['a', 'b']);
    await member.tend();
    assert.ok(member.tendAt > clock.monotonic());
    const since = broker.changes();
    const woken = broker.changed(since, 60_000);
    const other = await reopen();
    await joined(other, 'g', ['a', 'b']);
    await clock.advance(500);
    await woken;
    assert.ok(member.tendAt <= clock.monotonic(), 'tending is due');
    await broker.changed(since, 60_000);
  },
  'changed ends after its time and when it is aborted': async ({ broker, clock }) => {
    const since = broker.changes();
    let ended = false;
    const waiting = broker.changed(since, 1000).finally(() => {
      ended = true;
    });
    await clock.advance(999);
    assert.equal(ended, false);
    await clock.advance(1);
    await waiting;
    await broker.changed(since, 0);
    const controller = new AbortController();
    const aborted = broker.changed(since, 60_000, controller.signal);
    controller.abort();
    await fails(aborted, 'MR_ABORTED');
    await fails(broker.changed(since, 60_000, controller.signal), 'MR_ABORTED');
    for (const timeoutMs of [-1, Number.NaN, Infinity])
      await fails(broker.changed(since, timeoutMs), 'MR_ARGUMENT_INVALID');
    await fails(broker.changed(Number.NaN, 0), 'MR_ARGUMENT_INVALID');
  },
  'what waits holds no timers afterwards': async ({ broker, reopen, clock }) => {
    const other = await reopen();
    const members = [await joined(broker, 'g', ['a']), await joined(other, 'g', ['a'])];
    await broker.changed(broker.changes(), 0);
    for (const member of members) await member.leave();
    await quiet(clock);
    assert.equal(clock.timers, 0);
  },
  'closing lets running calls end, and refuses later ones': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t'));
    const reader = broker.reader('t', 0, 0);
    const member = await joined(broker, 'g', ['x']);
    await quiet(clock);
    // A wait ends by the append or by the end, whichever comes first.
    const waiting = broker.changed(broker.changes(), 60_000).catch((error: unknown) => {
      assert.equal((error as { code?: unknown }).code, 'MR_CLOSED');
    });
    const running = append(broker, 't', 0, 'a');
    const closing = broker.close();
    await waiting;
    assert.equal((await running).baseOffset, 0);
    await closing;
    await broker.close();
    const calls: (() => Promise<unknown>)[] = [
      () => broker.createTopic(topicSpec('u')),
      () => broker.describeTopic('t'),
      () => broker.topics(),
      () => broker.bounds('t', 0),
      () => broker.truncate('t', 0, 0),
      () => append(broker, 't', 0, 'b'),
      () => broker.append([]),
      () => broker.openProducer('p'),
      () => broker.changed(0, 0),
      async () => broker.changes(),
      () => broker.join('g', { tasks: [], topology: '' }),
      () => broker.describeGroup('g'),
      () => broker.groups(),
      () => broker.ask('g', 'x', new Uint8Array(0)),
      () => member.tend(),
      () => member.release(['x']),
      () => member.leave(),
      () => member.commit(commitOf('x', 1, [])),
      async () => broker.reader('t', 0, 0),
      async () => await reader.next(),
    ];
    for (const call of calls) await fails(call(), 'MR_CLOSED');
  },
};
