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
  produce,
  readAll,
  settle,
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
    const member = await broker.join('g', { tasks: [{ id: 'x' }], topology: 'T' });
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
    const fresh = await again.join('h', { tasks: [{ id: 'x' }], topology: '' });
    assert.notEqual(fresh.tasks[0]?.stateId, stateId, 'a number is never given twice');
    assert.equal((await append(again, 't', 0, 'e')).baseOffset, 3);
  },
  'changed wakes on an append and on a commit': async ({ broker, reopen, clock }) => {
    await broker.createTopic(topicSpec('t'));
    const member = await broker.join('g', { tasks: [{ id: 'x' }], topology: '' });
    await settle(broker, clock);
    const woken = broker.changed(60_000);
    await append(broker, 't', 0, 'a');
    await woken;
    const again = broker.changed(60_000);
    await member.commit(commitOf('x', 1, []));
    await again;
    const other = await reopen();
    const foreign = broker.changed(60_000);
    await append(other, 't', 0, 'b');
    await clock.advance(10_000);
    await foreign;
    assert.ok(clock.monotonic() < 60_000 + 10_000, 'before the time was over');
  },
  'changed loses no wake-up between two calls': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t'));
    await settle(broker, clock);
    await append(broker, 't', 0, 'a');
    await broker.changed(60_000);
    await append(broker, 't', 0, 'b');
    await append(broker, 't', 0, 'c');
    await broker.changed(60_000);
    const both = Promise.all([broker.changed(60_000), broker.changed(60_000)]);
    await append(broker, 't', 0, 'd');
    await both;
  },
  'changed ends after its time and when it is aborted': async ({ broker, clock }) => {
    await settle(broker, clock);
    let ended = false;
    const waiting = broker.changed(1000).finally(() => {
      ended = true;
    });
    await clock.advance(999);
    assert.equal(ended, false);
    await clock.advance(1);
    await waiting;
    await broker.changed(0);
    const controller = new AbortController();
    const aborted = broker.changed(60_000, controller.signal);
    controller.abort();
    await fails(aborted, 'MR_ABORTED');
    await fails(broker.changed(60_000, controller.signal), 'MR_ABORTED');
    for (const timeoutMs of [-1, Number.NaN, Infinity])
      await fails(broker.changed(timeoutMs), 'MR_ARGUMENT_INVALID');
  },
  'closing lets running calls end, and refuses later ones': async ({ broker, clock }) => {
    await broker.createTopic(topicSpec('t'));
    const reader = broker.reader('t', 0, 0);
    const member = await broker.join('g', { tasks: [{ id: 'x' }], topology: '' });
    await settle(broker, clock);
    // A wait ends by the append or by the end, whichever comes first.
    const waiting = broker.changed(60_000).catch((error: unknown) => {
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
      () => broker.changed(0),
      () => broker.join('g', { tasks: [], topology: '' }),
      () => broker.describeGroup('g'),
      () => member.commit(commitOf('x', 1, [])),
      async () => broker.reader('t', 0, 0),
      async () => await reader.next(),
    ];
    for (const call of calls) await fails(call(), 'MR_CLOSED');
  },
};
