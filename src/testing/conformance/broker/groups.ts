/**
 * Groups: what is given, committed, fenced and given back.
 *
 * @module
 */
import assert from 'node:assert/strict';

import {
  commitOf,
  fails,
  frameOf,
  joined,
  owned,
  readAll,
  settled,
  topicSpec,
  values,
  START_MS,
  type Cases,
} from './bench.ts';

export const groupCases: Cases = {
  'a member that is alone gets all tasks with its first tending': async ({ broker, clock }) => {
    const member = await broker.join('g', { tasks: [{ id: 'a/0' }, { id: 'a/1' }], topology: '' });
    assert.deepEqual(member.tasks, []);
    assert.ok(member.tendAt <= clock.monotonic());
    const { gained, revoked, lost } = await member.tend();
    assert.deepEqual(
      gained.map(({ id, epoch, positions, meta }) => [id, epoch, positions, meta]),
      [
        ['a/0', 1, [], undefined],
        ['a/1', 1, [], undefined],
      ],
    );
    assert.deepEqual([revoked, lost], [[], []]);
    assert.deepEqual(member.tasks, gained);
    assert.equal(new Set(gained.map(({ stateId }) => stateId)).size, 2, 'state of their own');
    assert.ok(member.tendAt > clock.monotonic());
    assert.deepEqual(await member.tend(), { gained: [], revoked: [], lost: [] });
  },
  'a task is handed over with what was committed': async ({ broker, reopen }) => {
    const first = await joined(broker, 'g', ['a/0', 'a/1']);
    const [before] = first.tasks;
    const positions = [
      { topic: 'in', partition: 0, offset: 3 },
      { topic: 'in', partition: 1, offset: 2 ** 53 - 1 },
    ];
    const meta = Uint8Array.of(1, 2, 3);
    await first.commit({ task: 'a/0', epoch: 1, positions, meta, outputs: [] });
    assert.deepEqual(first.tasks[0], { ...before, positions, meta }, 'as last committed');
    await first.leave();
    const other = await reopen();
    const second = await joined(other, 'g', ['a/0', 'b/0'], { topology: 'v2' });
    const [again, fresh] = second.tasks;
    assert.deepEqual([again?.epoch, again?.positions], [2, positions]);
    assert.deepEqual([...(again?.meta ?? [])], [1, 2, 3]);
    assert.equal(again?.stateId, before?.stateId, 'a task keeps its state');
    assert.deepEqual([fresh?.epoch, fresh?.positions, fresh?.meta], [1, [], undefined]);
    const info = await other.describeGroup('g');
    assert.deepEqual(
      info?.tasks.map(({ id, owner }) => [id, owner]),
      [
        ['a/0', second.member],
        ['a/1', null],
        ['b/0', second.member],
      ],
    );
    assert.equal(new Set(info?.tasks.map(({ stateId }) => stateId)).size, 3);
  },
  'groups do not share tasks': async ({ broker }) => {
    const one = await joined(broker, 'g', ['t']);
    const two = await joined(broker, 'g1', ['t'], { topology: '2' });
    assert.deepEqual([one.tasks[0]?.epoch, two.tasks[0]?.epoch], [1, 1]);
    assert.notEqual(one.tasks[0]?.stateId, two.tasks[0]?.stateId);
    await one.commit(commitOf('t', 1, []));
    assert.equal((await broker.describeGroup('g1'))?.tasks[0]?.meta, undefined);
    assert.equal((await broker.describeGroup('g'))?.tasks.length, 1);
    assert.deepEqual(await broker.groups(), ['g', 'g1']);
  },
  'a commit is positions, meta and outputs as one': async ({ broker }) => {
    await broker.createTopic(topicSpec('out', { partitions: 2 }));
    const member = await joined(broker, 'g', ['t']);
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
  'a fenced commit writes nothing': async ({ broker, reopen, clock }) => {
    await broker.createTopic(topicSpec('out'));
    const old = await joined(broker, 'g', ['t', 'u'], { leaseMs: 1000 });
    await clock.advance(1000);
    const other = await reopen();
    const current = await joined(other, 'g', ['t', 'u']);
    assert.deepEqual(owned(current), ['t', 'u'], 'the lease of the other is over');
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
    assert.ok(old.tendAt <= clock.monotonic(), 'there is something to be looked at');
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
    const member = await joined(broker, 'g', ['t']);
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
    const member = await joined(broker, 'g', tasks);
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
  'leaving gives the tasks back': async ({ broker }) => {
    const member = await joined(broker, 'g', ['t']);
    const running = member.commit({ ...commitOf('t', 1, []), meta: Uint8Array.of(7) });
    await Promise.all([member.leave(), member.leave()]);
    await running;
    await member.leave();
    for (const call of [
      () => member.commit(commitOf('t', 1, [])),
      () => member.tend(),
      () => member.release(['t']),
    ])
      await fails(call(), 'MR_CLOSED');
    const info = await broker.describeGroup('g');
    assert.deepEqual([info?.tasks[0]?.owner, info?.members], [null, []]);
    const next = await joined(broker, 'g', ['t']);
    assert.deepEqual([next.tasks[0]?.epoch, next.tasks[0]?.meta?.[0]], [2, 7]);
    await member.leave();
    await next.commit(commitOf('t', 2, []));
  },
  'a member that was replaced leaves without disturbing its successor': async (bench) => {
    const { broker, clock } = bench;
    const old = await joined(broker, 'g', ['a', 'b'], { leaseMs: 500 });
    await clock.advance(500);
    const next = await joined(broker, 'g', ['a', 'b']);
    await old.leave();
    await next.commit(commitOf('a', 2, []));
    await settled(next);
    assert.deepEqual(
      next.tasks.map(({ epoch }) => epoch),
      [2, 2],
    );
  },
  'a group is described': async ({ broker, clock }) => {
    assert.equal(await broker.describeGroup('g'), undefined);
    assert.deepEqual(await broker.groups(), []);
    const member = await broker.join('g', { tasks: [{ id: 'b' }], topology: '{"v":"ü"}' });
    await member.tend();
    const info = await broker.describeGroup('g');
    assert.deepEqual(info, {
      topology: '{"v":"ü"}',
      seenAt: clock.now(),
      tasks: [{ ...member.tasks[0], owner: member.member }],
      members: [{ member: member.member, pid: process.pid, joinedAt: clock.now(), agrees: true }],
    });
    for (let i = 0; i < 20; i++) {
      await clock.advance(5000);
      await member.tend();
    }
    const seenAt = (await broker.describeGroup('g'))?.seenAt ?? 0;
    assert.ok(clock.now() - seenAt <= 60_000, 'within a minute');
    await member.leave();
    assert.equal((await broker.describeGroup('g'))?.seenAt, clock.now());
  },
  'bad groups, tasks and leases are refused': async ({ broker }) => {
    const topology = '';
    for (const group of ['', 'a b', 'x'.repeat(250), 'a\0b'])
      await fails(broker.join(group, { tasks: [], topology }), 'MR_NAME_INVALID');
    for (const id of ['', 'a b', 'é', 'a\0', 'x'.repeat(250)])
      await fails(broker.join('g', { tasks: [{ id }], topology }), 'MR_NAME_INVALID');
    await fails(
      broker.join('g', { tasks: [{ id: 'a' }, { id: 'a' }], topology }),
      'MR_ARGUMENT_INVALID',
    );
    for (const leaseMs of [0, 499, 600_001, Number.NaN])
      await fails(broker.join('g', { tasks: [], topology, leaseMs }), 'MR_OPTION_INVALID');
    assert.equal(await broker.describeGroup('g'), undefined);
  },
};
