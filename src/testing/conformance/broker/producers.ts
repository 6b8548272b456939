/**
 * Producers with an id: resuming, fencing, sequences.
 *
 * @module
 */
import assert from 'node:assert/strict';

import { decode, fails, produce, readAll, topicSpec, values, type LogCases } from './bench.ts';

export const producerCases: LogCases = {
  'a producer resumes where it stopped': async ({ broker, reopen }) => {
    await broker.createTopic(topicSpec('t'));
    assert.deepEqual(await broker.openProducer('loader'), {
      epoch: 1,
      sequence: 0,
      position: undefined,
    });
    await produce(broker, 1, 1, 'row 1', 'a');
    await produce(broker, 1, 2, 'row 2', 'b');
    const opened = await (await reopen()).openProducer('loader');
    assert.deepEqual([opened.epoch, opened.sequence], [2, 2]);
    assert.equal(decode(opened.position as Uint8Array), 'row 2');
    await produce(broker, 2, 3, undefined, 'c');
    assert.deepEqual(await broker.openProducer('loader'), {
      epoch: 3,
      sequence: 3,
      position: undefined,
    });
    assert.deepEqual(values(await readAll(broker, 't', 0)), ['a', 'b', 'c']);
  },
  'an acknowledged append is not repeated': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await broker.openProducer('loader');
    assert.equal((await produce(broker, 1, 1, 'p1', 'a'))?.length, 1);
    assert.equal(await produce(broker, 1, 1, 'p1', 'a'), undefined);
    assert.equal((await produce(broker, 1, 2, 'p2', 'b'))?.length, 1);
    assert.equal(await produce(broker, 1, 1, 'other', 'z'), undefined);
    assert.deepEqual(values(await readAll(broker, 't', 0)), ['a', 'b']);
    assert.equal(decode((await broker.openProducer('loader')).position as Uint8Array), 'p2');
  },
  'a producer that was opened again is fenced': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await broker.openProducer('loader');
    await produce(broker, 1, 1, 'p1', 'a');
    await broker.openProducer('loader');
    const before = await broker.bounds('t', 0);
    const error = await fails(produce(broker, 1, 2, 'p2', 'b'), 'MR_FENCED');
    assert.match(error['message'] as string, /loader.*1.*2/);
    await fails(produce(broker, 1, 1, 'p1', 'a'), 'MR_FENCED');
    assert.deepEqual(await broker.bounds('t', 0), before);
    await produce(broker, 2, 2, 'p2', 'b');
    assert.deepEqual(values(await readAll(broker, 't', 0)), ['a', 'b']);
  },
  'gaps, invented epochs and bad ids of producers are refused': async ({ broker }) => {
    await broker.createTopic(topicSpec('t'));
    await fails(produce(broker, 1, 1, undefined, 'a'), 'MR_ARGUMENT_INVALID');
    await broker.openProducer('loader');
    await fails(produce(broker, 1, 2, undefined, 'a'), 'MR_ARGUMENT_INVALID');
    await fails(produce(broker, 2, 1, undefined, 'a'), 'MR_ARGUMENT_INVALID');
    for (const sequence of [0, -1, 1.5, Number.NaN])
      await fails(produce(broker, 1, sequence, undefined, 'a'), 'MR_ARGUMENT_INVALID');
    await fails(produce(broker, 1, 1, 'x'.repeat(65_537), 'a'), 'MR_ARGUMENT_INVALID');
    for (const id of ['', 'a b', 'x'.repeat(250)])
      await fails(broker.openProducer(id), 'MR_NAME_INVALID');
    assert.deepEqual(await broker.bounds('t', 0), { start: 0, end: 0 });
    assert.equal((await broker.openProducer('loader')).sequence, 0);
  },
  'a position may be saved without records, up to its limit': async ({ broker }) => {
    await broker.openProducer('loader');
    const position = Buffer.alloc(65_536, 7);
    assert.deepEqual(
      await broker.append([], { id: 'loader', epoch: 1, sequence: 1, position }),
      [],
    );
    const opened = await broker.openProducer('loader');
    assert.equal(opened.sequence, 1);
    assert.ok(position.equals(opened.position as Uint8Array));
  },
};
