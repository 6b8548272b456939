/**
 * Groups of several members: how tasks move, who is given up for dead, which topology holds, and asking the owner of a task.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type { Broker, Membership } from '../../../broker/broker.ts';
import { MillraceError } from '../../../core/errors.ts';
import { commitOf, fails, joined, owned, quiet, settled, type Cases } from './bench.ts';

const EIGHT = Array.from({ length: 8 }, (_, i) => `a/${i}`);

const epochs = async (broker: Broker): Promise<Map<string, number>> =>
  new Map((await broker.describeGroup('g'))?.tasks.map(({ id, epoch }) => [id, epoch]));

const counts = (...members: readonly Membership[]): number[] =>
  members.map(({ tasks }) => tasks.length).toSorted((a, b) => a - b);

/** Answers with a name, the task and the question. */
const answerOf =
  (name: string) =>
  (task: string, question: Uint8Array): Uint8Array =>
    Buffer.from(`${name} ${task} ${Buffer.from(question).toString()}`);

const noAnswer = async (): Promise<Uint8Array> => new Uint8Array(0);

export const sharingCases: Cases = {
  'two members share': async ({ broker, reopen }) => {
    const first = await joined(broker, 'g', EIGHT.slice(0, 7));
    const second = await joined(await reopen(), 'g', EIGHT.slice(0, 7));
    assert.deepEqual(second.tasks, [], 'nothing is taken from a living member');
    const { gained, revoked, lost } = await first.tend();
    assert.deepEqual([gained, lost], [[], []]);
    assert.ok(revoked.length === 3 || revoked.length === 4);
    assert.deepEqual((await first.tend()).revoked, revoked, 'listed until they are released');
    const [task] = revoked as readonly [string];
    await first.commit({ ...commitOf(task, 1, []), meta: Uint8Array.of(5) });
    await first.release(revoked);
    await fails(first.commit(commitOf(task, 1, [])), 'MR_FENCED');
    const taken = await second.tend();
    assert.deepEqual(
      new Map(taken.gained.map(({ id, epoch }) => [id, epoch])),
      new Map(revoked.map((id) => [id, 2])),
    );
    assert.deepEqual(taken.gained.find(({ id }) => id === task)?.meta?.[0], 5);
    assert.deepEqual(counts(first, second), [3, 4]);
    await settled(first, second);
    assert.deepEqual([...owned(first), ...owned(second)].toSorted(), EIGHT.slice(0, 7));
  },
  'a third one that joins disturbs only what moves': async ({ broker, reopen }) => {
    const first = await joined(broker, 'g', EIGHT);
    const second = await joined(await reopen(), 'g', EIGHT);
    await settled(first, second);
    const before = await epochs(broker);
    const third = await joined(await reopen(), 'g', EIGHT);
    const [one, two] = [await first.tend(), await second.tend()];
    assert.deepEqual([one.gained, one.lost, two.gained, two.lost], [[], [], [], []]);
    const moving = [...one.revoked, ...two.revoked];
    assert.equal(moving.length, 2);
    for (const member of [first, second])
      for (const { id, epoch } of member.tasks) await member.commit(commitOf(id, epoch, []));
    await settled(first, second, third);
    assert.deepEqual(owned(third), moving.toSorted());
    const after = await epochs(broker);
    for (const [id, epoch] of before)
      assert.equal(after.get(id), moving.includes(id) ? epoch + 1 : epoch);
    for (const member of [first, second, third])
      for (const { id, epoch } of member.tasks) await member.commit(commitOf(id, epoch, []));
  },
  'what a member gives back with leaving is shared': async ({ broker, reopen }) => {
    const members = [await joined(broker, 'g', EIGHT)];
    for (let i = 0; i < 2; i++) members.push(await joined(await reopen(), 'g', EIGHT));
    await settled(...members);
    assert.deepEqual(counts(...members), [2, 3, 3]);
    const [first, second, third] = members as [Membership, Membership, Membership];
    const kept = [first, second].flatMap(({ tasks }) => tasks);
    await third.leave();
    await settled(first, second);
    assert.deepEqual(counts(first, second), [4, 4]);
    const now = [first, second].flatMap(({ tasks }) => tasks);
    for (const { id, epoch } of kept)
      assert.equal(now.find((task) => task.id === id)?.epoch, epoch, 'what stays is not touched');
  },
  'a task that comes back before it was given up stays': async ({ broker, reopen }) => {
    const first = await joined(broker, 'g', EIGHT);
    const second = await joined(await reopen(), 'g', EIGHT);
    assert.equal((await first.tend()).revoked.length, 4);
    await second.leave();
    assert.deepEqual(await first.tend(), { gained: [], revoked: [], lost: [] });
    for (const { epoch } of first.tasks) assert.equal(epoch, 1);
  },
  'what is released but meant for the same member is gained again': async ({ broker }) => {
    const member = await joined(broker, 'g', ['a', 'b']);
    await member.release(['a', 'nobody has heard of it']);
    assert.deepEqual(owned(member), ['b']);
    const { gained } = await member.tend();
    assert.deepEqual(
      gained.map(({ id, epoch }) => [id, epoch]),
      [['a', 2]],
    );
  },
  'a member that is not heard of loses its tasks, and finds out': async (bench) => {
    const { broker, reopen, clock } = bench;
    const sleeper = await joined(broker, 'g', EIGHT, { leaseMs: 2000 });
    const awake = await joined(await reopen(), 'g', EIGHT, { leaseMs: 2000 });
    await settled(sleeper, awake);
    const kept = owned(awake);
    for (let i = 0; i < 4; i++) {
      await clock.advance(500);
      await awake.tend();
    }
    await awake.tend();
    assert.deepEqual(owned(awake), EIGHT);
    const [mine] = sleeper.tasks;
    await fails(sleeper.commit(commitOf(mine?.id ?? '', mine?.epoch ?? 0, [])), 'MR_FENCED');
    const change = await sleeper.tend();
    assert.deepEqual(
      change.lost.toSorted(),
      EIGHT.filter((id) => !kept.includes(id)),
    );
    assert.deepEqual([change.gained, change.revoked, sleeper.tasks], [[], [], []]);
    await settled(sleeper, awake);
    assert.deepEqual(counts(sleeper, awake), [4, 4], 'it has joined anew');
    for (const { id, epoch } of sleeper.tasks) await sleeper.commit(commitOf(id, epoch, []));
  },
  'a member that was given up and finds its tasks free gains them again': async (bench) => {
    const { broker, reopen, clock } = bench;
    const sleeper = await joined(broker, 'g', ['a', 'b'], { leaseMs: 500 });
    await clock.advance(500);
    const guest = await joined(await reopen(), 'g', ['a', 'b'], { leaseMs: 500 });
    await guest.leave();
    const { gained, lost } = await sleeper.tend();
    assert.deepEqual(
      gained.map(({ id, epoch }) => [id, epoch]),
      [
        ['a', 3],
        ['b', 3],
      ],
    );
    assert.deepEqual(lost, []);
  },
  'committing keeps a member alive': async ({ broker, reopen, clock }) => {
    const busy = await joined(broker, 'g', ['a'], { leaseMs: 1000 });
    const other = await joined(await reopen(), 'g', ['a']);
    for (let i = 0; i < 10; i++) {
      await clock.advance(400);
      await busy.commit(commitOf('a', 1, []));
      await other.tend();
    }
    assert.deepEqual(owned(busy), ['a']);
    assert.deepEqual(other.tasks, []);
  },
  'tending is due before a lease is over, and when that of another one is': async (bench) => {
    const { broker, reopen, clock } = bench;
    const short = await joined(broker, 'g', EIGHT, { leaseMs: 500 });
    const long = await joined(await reopen(), 'g', EIGHT, { leaseMs: 600_000 });
    assert.ok(short.tendAt - clock.monotonic() < 500);
    assert.ok(long.tendAt - clock.monotonic() <= 500);
  },
  'a broker that is closed without leaving is found dead': async ({ broker, reopen, clock }) => {
    const other = await reopen();
    const gone = await joined(other, 'g', EIGHT);
    const member = await joined(broker, 'g', EIGHT);
    await settled(gone, member);
    await other.close();
    await fails(gone.tend(), 'MR_CLOSED');
    // With links at once, without them when the lease is over.
    await clock.advance(10_000);
    await member.tend();
    assert.deepEqual(owned(member), EIGHT);
    const info = await broker.describeGroup('g');
    assert.deepEqual(
      info?.members.map((one) => one.member),
      [member.member],
    );
  },
  'members of another topology wait until those of the stored one have left': async (bench) => {
    const { broker, reopen } = bench;
    const old = await joined(broker, 'g', EIGHT.slice(0, 4), { topology: 'v1' });
    const next = await joined(await reopen(), 'g', EIGHT.slice(0, 6), { topology: 'v2' });
    const twin = await joined(await reopen(), 'g', EIGHT.slice(0, 6), { topology: 'v2' });
    await settled(old, next, twin);
    assert.deepEqual([owned(old), next.tasks, twin.tasks], [EIGHT.slice(0, 4), [], []]);
    assert.deepEqual([old.agrees, next.agrees, twin.agrees], [true, false, false]);
    const info = await broker.describeGroup('g');
    assert.equal(info?.topology, 'v1');
    assert.deepEqual(
      new Map(info.members.map(({ member, agrees }) => [member, agrees])),
      new Map([
        [old.member, true],
        [next.member, false],
        [twin.member, false],
      ]),
    );
    await old.commit(commitOf('a/0', 1, []));
    await old.leave();
    await settled(next, twin);
    assert.equal((await broker.describeGroup('g'))?.topology, 'v2');
    assert.deepEqual([...owned(next), ...owned(twin)].toSorted(), EIGHT.slice(0, 6));
    assert.deepEqual(counts(next, twin), [3, 3]);
    assert.deepEqual([next.agrees, twin.agrees], [true, true]);
  },
  'members that name other tasks do not agree': async ({ broker, reopen }) => {
    const old = await joined(broker, 'g', ['a', 'b'], { topology: 'v' });
    const next = await joined(await reopen(), 'g', ['a', 'b', 'c'], { topology: 'v' });
    await settled(old, next);
    assert.deepEqual([owned(old), next.tasks], [['a', 'b'], []]);
  },
  'the owner of a task can be asked, wherever it is': async ({ broker, reopen, clock }) => {
    const other = await reopen();
    const here = await joined(broker, 'g', ['t/0', 't/1'], { answer: answerOf('here') });
    const there = await joined(other, 'g', ['t/0', 't/1'], { answer: answerOf('there') });
    await settled(here, there);
    await quiet(clock);
    for (const asker of [broker, other, await reopen()])
      for (const [name, member] of [
        ['here', here],
        ['there', there],
      ] as const) {
        const [task = ''] = owned(member);
        const said = await asker.ask('g', task, Buffer.from('?ü'));
        assert.equal(Buffer.from(said).toString(), `${name} ${task} ?ü`);
      }
    const big = new Uint8Array(4 * 1024 * 1024 - 100).fill(7);
    const [task = ''] = owned(there);
    assert.equal((await broker.ask('g', task, big)).length > big.length, true);
  },
  'asking fails with a reason': async ({ broker, reopen, clock }) => {
    const question = Uint8Array.of(1);
    await fails(broker.ask('g', 't', question), 'MR_NO_OWNER');
    const other = await reopen();
    let answer: () => Promise<Uint8Array> = noAnswer;
    const member = await joined(other, 'g', ['t'], { answer: () => answer() });
    const asker = await reopen();
    answer = async () => {
      throw new MillraceError('MR_KEY_INVALID', 'no such key', {
        details: { key: 'x' },
        retryable: true,
      });
    };
    for (const from of [asker, other]) {
      const error = await fails(from.ask('g', 't', question), 'MR_KEY_INVALID');
      assert.deepEqual(error['details'], { key: 'x' });
      assert.deepEqual([error['message'], error['retryable']], ['no such key', true]);
    }
    answer = async () => {
      throw new TypeError('broken');
    };
    for (const from of [asker, other]) {
      const error = await fails(from.ask('g', 't', question), 'MR_INTERNAL');
      assert.match(error['message'] as string, /broken/);
    }
    answer = async () => new Uint8Array(4 * 1024 * 1024 + 1);
    for (const from of [asker, other])
      await fails(from.ask('g', 't', question), 'MR_ARGUMENT_INVALID');
    answer = () => new Promise(() => {});
    for (const from of [asker, other]) {
      const late = fails(from.ask('g', 't', question, { timeoutMs: 700 }), 'MR_TIMEOUT');
      await clock.advance(700);
      assert.equal((await late)['retryable'], true);
      const controller = new AbortController();
      const aborted = fails(
        from.ask('g', 't', question, { signal: controller.signal }),
        'MR_ABORTED',
      );
      await quiet(clock);
      controller.abort();
      await aborted;
    }
    await fails(asker.ask('g', 't', new Uint8Array(4 * 1024 * 1024 + 1)), 'MR_ARGUMENT_INVALID');
    await fails(asker.ask('g', 't', question, { timeoutMs: 0 }), 'MR_ARGUMENT_INVALID');
    await fails(asker.ask('g', 'no task', question), 'MR_NAME_INVALID');
    await member.release(['t']);
    assert.equal((await fails(asker.ask('g', 't', question), 'MR_NO_OWNER'))['retryable'], true);
    await member.leave();
    await joined(other, 'g', ['t']);
    await fails(asker.ask('g', 't', question), 'MR_NO_OWNER');
  },
};
