/**
 * Groups: joining, committing, fencing, leaving.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type { OwnedTask } from '../../../broker/broker.ts';
import {
  commitOf,
  fails,
  frameOf,
  readAll,
  topicSpec,
  values,
  START_MS,
  type Cases,
} from './bench.ts';

export const groupCases: Cases = {
  'joining gives tasks with growing epochs and what was committed': async ({ broker, reopen }) => {
    await broker.createTopic(topicSpec('in', { partitions: 2 }));
    const first = await broker.join('g', { tasks: [{ id: 'a/0' }, { id: 'a/1' }], topology: 'v1' });
    assert.deepEqual(
      first.tasks.map(({ id, epoch, positions, meta }) => [id, epoch, positions, meta]),
      [
        ['a/0', 1, [], undefined],
        ['a/1', 1, [], undefined],
      ],
    );
    const positions = [
      { topic: 'in', partition: 0, offset: 3 },
      { topic: 'in', partition: 1, offset: 2 ** 53 - 1 },
    ];
    const meta = Uint8Array.of(1, 2, 3);
    await first.commit({ task: 'a/0', epoch: 1, positions, meta, outputs: [] });
    await first.leave();
    const other = await reopen();
    const second = await other.join('g', {
      tasks: [{ id: 'a/0' }, { id: 'b/0' }],
      topology: 'v2',
    });
    const [again, fresh] = second.tasks as [OwnedTask, OwnedTask];
    assert.deepEqual([again.epoch, again.positions], [2, positions]);
    assert.deepEqual([...(again.meta as Uint8Array)], [1, 2, 3]);
    assert.equal(again.stateId, first.tasks[0]?.stateId, 'a task keeps its state');
    assert.deepEqual([fresh.epoch, fresh.positions, fresh.meta], [1, [], undefined]);
    const ids = new Set([...first.tasks, ...second.tasks].map(({ stateId }) => stateId));
    assert.equal(ids.size, 3, 'every task has state of its own');
  },
  'groups do not share tasks': async ({ broker }) => {
    const one = await broker.join('g', { tasks: [{ id: 't' }], topology: '1' });
    const two = await broker.join('g1', { tasks: [{ id: 't' }], topology: '2' });
    assert.deepEqual([one.tasks[0]?.epoch, two.tasks[0]?.epoch], [1, 1]);
    assert.notEqual(one.tasks[0]?.stateId, two.tasks[0]?.stateId);
    await one.commit(commitOf('t', 1, []));
    assert.equal((await broker.describeGroup('g1'))?.tasks[0]?.meta, undefined);
    assert.equal((await broker.describeGroup('g'))?.tasks.length, 1);
  },
  'a commit is positions, meta and outputs as one': async ({ broker }) => {
    await broker.createTopic(topicSpec('out', { partitions: 2 }));
    const member = await broker.join('g', { tasks: [{ id: 't' }], topology: '' });
    const placed = await member.commit({
      task: 't',
      epoch: 1,
      positions: [{ topic: 'in', partition: 0, offset: 10 }],
      meta: Uint8Array.of(9),
      outputs: [
        { topic: 'out', partition: 1, frame: frameOf('a', 'b') },
        { topic: 'out', partition: 0, frame: frameOf('c') },
        { topic: 'out', partition: 1, frame: frameOf('d') },
      ],
    });
    assert.deepEqual(placed, [
      { baseOffset: 0, receivedAt: START_MS },
      { baseOffset: 0, receivedAt: START_MS },
      { baseOffset: 2, receivedAt: START_MS },
    ]);
    assert.deepEqual(values(await readAll(broker, 'out', 1)), ['a', 'b', 'd']);
    const task = (await broker.describeGroup('g'))?.tasks[0];
    assert.deepEqual(task?.positions, [{ topic: 'in', partition: 0, offset: 10 }]);
    assert.deepEqual([...(task?.meta ?? [])], [9]);
    assert.deepEqual(await member.commit(commitOf('t', 1, [])), []);
    assert.deepEqual(
      (await broker.describeGroup('g'))?.tasks[0]?.positions,
      [],
      'a commit names all positions',
    );
  },
  'a fenced commit writes nothing': async ({ broker, reopen }) => {
    await broker.createTopic(topicSpec('out'));
    const options = { tasks: [{ id: 't' }, { id: 'u' }], topology: '' };
    const old = await broker.join('g', options);
    const other = await reopen();
    const current = await other.join('g', options);
    const before = await broker.describeGroup('g');
    for (const epoch of [1, 2, 3]) {
      const commit = commitOf('t', epoch, [
        { topic: 'out', partition: 0, frame: frameOf('zombie') },
      ]);
      const error = await fails(
        old.commit({ ...commit, positions: [{ topic: 'in', partition: 0, offset: 1 }] }),
        'MR_FENCED',
      );
      assert.match(error['message'] as string, new RegExp(`task t .*${epoch}.*2`));
    }
    await fails(current.commit(commitOf('t', 1, [])), 'MR_FENCED');
    assert.deepEqual(await broker.bounds('out', 0), { start: 0, end: 0 });
    assert.deepEqual(await broker.describeGroup('g'), before);
    await current.commit(
      commitOf('t', 2, [{ topic: 'out', partition: 0, frame: frameOf('good') }]),
    );
    assert.deepEqual(values(await readAll(broker, 'out', 0)), ['good']);
  },
  'a bad commit leaves no trace': async ({ broker }) => {
    await broker.createTopic(topicSpec('out'));
    const member = await broker.join('g', { tasks: [{ id: 't' }], topology: '' });
    const output = { topic: 'out', partition: 0, frame: frameOf('a') };
    const good = commitOf('t', 1, [output]);
    const position = { topic: 'in', partition: 0, offset: 1 };
    await fails(
      member.commit({
        ...good,
        outputs: [output, { topic: 'no', partition: 0, frame: frameOf('b') }],
      }),
      'MR_UNKNOWN_TOPIC',
    );
    for (const bad of [
      { task: 'u' },
      { meta: new Uint8Array(65_537) },
      { positions: [{ ...position, offset: -1 }] },
      { positions: [{ ...position, offset: Number.NaN }] },
      { positions: [{ ...position, partition: -1 }] },
      { positions: [position, position] },
      { outputs: [output, output] },
    ])
      await fails(member.commit({ ...good, ...bad }), 'MR_ARGUMENT_INVALID');
    assert.deepEqual(await broker.bounds('out', 0), { start: 0, end: 0 });
    assert.equal((await broker.describeGroup('g'))?.tasks[0]?.meta, undefined);
    await member.commit(good);
    assert.deepEqual(values(await readAll(broker, 'out', 0)), ['a']);
  },
  'commits of several tasks may be under way at once': async ({ broker }) => {
    await broker.createTopic(topicSpec('out', { partitions: 2 }));
    const tasks = ['a', 'b', 'c', 'd'];
    const member = await broker.join('g', { tasks: tasks.map((id) => ({ id })), topology: '' });
    for (let round = 0; round < 5; round++)
      await Promise.all(
        tasks.map((task, i) =>
          member.commit({
            ...commitOf(task, 1, [
              { topic: 'out', partition: i % 2, frame: frameOf(`${task}${round}`) },
            ]),
            positions: [{ topic: 'in', partition: i, offset: round + 1 }],
          }),
        ),
      );
    const out = [...(await readAll(broker, 'out', 0)), ...(await readAll(broker, 'out', 1))];
    assert.equal(out.length, 20);
    for (const task of tasks)
      assert.deepEqual(
        values(out).filter((text) => text.startsWith(task)),
        [0, 1, 2, 3, 4].map((round) => `${task}${round}`),
      );
    const info = await broker.describeGroup('g');
    for (const { positions } of info?.tasks ?? []) assert.equal(positions[0]?.offset, 5);
  },
  'one task may move while its neighbour stays': async ({ broker }) => {
    const both = await broker.join('g', { tasks: [{ id: 'a' }, { id: 'b' }], topology: '' });
    const mover = await broker.join('g', { tasks: [{ id: 'b' }], topology: '' });
    await both.commit(commitOf('a', 1, []));
    await fails(both.commit(commitOf('b', 1, [])), 'MR_FENCED');
    await mover.commit(commitOf('b', 2, []));
    const epochs = (await broker.describeGroup('g'))?.tasks.map(({ id, epoch }) => [id, epoch]);
    assert.deepEqual(epochs, [
      ['a', 1],
      ['b', 2],
    ]);
  },
  'leaving gives the tasks back': async ({ broker }) => {
    const member = await broker.join('g', { tasks: [{ id: 't' }], topology: '' });
    const running = member.commit({ ...commitOf('t', 1, []), meta: Uint8Array.of(7) });
    await Promise.all([member.leave(), member.leave()]);
    await running;
    await member.leave();
    await fails(member.commit(commitOf('t', 1, [])), 'MR_CLOSED');
    const next = await broker.join('g', { tasks: [{ id: 't' }], topology: '' });
    assert.deepEqual([next.tasks[0]?.epoch, next.tasks[0]?.meta?.[0]], [2, 7]);
    await member.leave();
    await next.commit(commitOf('t', 2, []));
  },
  'a member that was replaced leaves without disturbing its successor': async ({ broker }) => {
    const old = await broker.join('g', { tasks: [{ id: 'a' }, { id: 'b' }], topology: '' });
    const next = await broker.join('g', { tasks: [{ id: 'a' }], topology: '' });
    await old.leave();
    await next.commit(commitOf('a', 2, []));
    const third = await broker.join('g', { tasks: [{ id: 'a' }, { id: 'b' }], topology: '' });
    assert.deepEqual(
      third.tasks.map(({ epoch }) => epoch),
      [3, 2],
    );
  },
  'a group is described as it was last joined': async ({ broker }) => {
    assert.equal(await broker.describeGroup('g'), undefined);
    await broker.join('g', { tasks: [{ id: 'a' }], topology: '{"v":1}' });
    const member = await broker.join('g', { tasks: [{ id: 'b' }], topology: '{"v":"ü"}' });
    const info = await broker.describeGroup('g');
    assert.equal(info?.topology, '{"v":"ü"}');
    assert.deepEqual(
      info.tasks.map(({ id }) => id),
      ['a', 'b'],
    );
    assert.deepEqual(info.tasks[1], member.tasks[0]);
  },
  'bad groups and tasks are refused': async ({ broker }) => {
    const topology = '';
    for (const group of ['', 'a b', 'x'.repeat(250), 'a\0b'])
      await fails(broker.join(group, { tasks: [], topology }), 'MR_NAME_INVALID');
    for (const id of ['', 'a b', 'é', 'a\0', 'x'.repeat(250)])
      await fails(broker.join('g', { tasks: [{ id }], topology }), 'MR_NAME_INVALID');
    await fails(
      broker.join('g', { tasks: [{ id: 'a' }, { id: 'a' }], topology }),
      'MR_ARGUMENT_INVALID',
    );
    assert.equal(await broker.describeGroup('g'), undefined);
  },
};
