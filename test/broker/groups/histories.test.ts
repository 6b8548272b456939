/**
 * Random histories of a group: members join, share, sleep past their leases, die, leave and fail, several at once. Each commit writes the number
 * that follows the one its member knows, so two members that can commit one task would write a number twice.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { Broker, Membership, OwnedTask } from '../../../src/broker/broker.ts';
import { LocalHub } from '../../../src/broker/groups/local-links.ts';
import { logTables, openLog } from '../../../src/broker/log/index.ts';
import { VirtualClock } from '../../../src/core/clock.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { seededRandom } from '../../../src/core/random.ts';
import {
  simulatedKv,
  type CommitFault,
  type SimulatedKv,
} from '../../../src/kv/simulated/simulated.ts';
import { owned, settled } from '../../../src/testing/conformance/broker/bench.ts';

const TASKS = ['a/0', 'a/1', 'a/2', 'a/3', 'b/0', 'b/1', 'b/2'];
const ACTORS = 4;
const LEASE_MS = 1000;

const action = fc.oneof(
  { weight: 6, arbitrary: fc.constant('tend' as const) },
  { weight: 2, arbitrary: fc.constant('keep' as const) },
  { weight: 6, arbitrary: fc.constant('commit' as const) },
  { weight: 1, arbitrary: fc.constantFrom('leave' as const, 'crash' as const, 'close' as const) },
);
const act = fc.record({ actor: fc.nat({ max: ACTORS - 1 }), action, pick: fc.nat({ max: 99 }) });
const step = fc.record({
  acts: fc.array(act, { minLength: 1, maxLength: 4 }),
  sleepMs: fc.oneof(fc.constant(0), fc.nat({ max: 400 }), fc.constant(LEASE_MS)),
  fail: fc.option(
    fc.constantFrom('disk-full' as const, 'io-before' as const, 'io-after' as const),
    {
      freq: 8,
      nil: undefined,
    },
  ),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Act = Step['acts'][number];

interface Life {
  readonly kv: SimulatedKv;
  readonly broker: Broker;
  readonly member: Membership;
  /** What it knows: the number of the last commit of each task that it owns. */
  readonly known: Map<string, { epoch: number; count: number }>;
}

class History {
  readonly #clock = new VirtualClock(1_000_000);
  readonly #random = seededRandom(1);
  readonly #hub: LocalHub | undefined;
  readonly #lives: (Life | undefined)[] = [];
  /** Of each task, what the last commit may have written: more than one number when outcomes are unknown. */
  readonly #counts = new Map(TASKS.map((id) => [id, [0]]));
  readonly #kv: SimulatedKv;
  #fault: CommitFault | undefined;

  constructor(linked: boolean) {
    this.#hub = linked ? new LocalHub() : undefined;
    this.#kv = simulatedKv({
      tables: logTables,
      clock: this.#clock,
      faults: () => {
        const fault = this.#fault;
        this.#fault = undefined;
        return fault;
      },
    });
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const { acts, sleepMs, fail } of steps) {
      this.#fault = fail === undefined ? undefined : { fail };
      const actors = new Map(acts.map((one) => [one.actor, one]));
      await Promise.all(Array.from(actors.values(), async (one) => await this.#act(one)));
      await this.#clock.advance(sleepMs);
    }
    this.#fault = undefined;
    await this.#end();
  }

  async #act({ actor, action: kind, pick }: Act): Promise<void> {
    try {
      const life = (this.#lives[actor] ??= await this.#begin());
      if (kind === 'tend' || kind === 'keep') await this.#tend(life, kind === 'tend');
      else if (kind === 'commit') await this.#commit(life, pick);
      else {
        this.#lives[actor] = undefined;
        if (kind === 'leave') await life.member.leave();
        if (kind === 'crash') life.kv.crash();
        await life.broker.close();
      }
    } catch (error) {
      if (!MillraceError.is(error) || !['MR_IO', 'MR_DISK_FULL'].includes(error.code)) throw error;
    }
  }

  async #begin(): Promise<Life> {
    const kv = this.#kv.reopen();
    const broker = await openLog({
      kv,
      url: 'file:./simulated',
      clock: this.#clock,
      random: this.#random,
      links: this.#hub?.open(),
    });
    const tasks = TASKS.map((id) => ({ id }));
    const member = await broker.join('g', { tasks, topology: '', leaseMs: LEASE_MS });
    return { kv, broker, member, known: new Map() };
  }

  async #tend({ member, known }: Life, release: boolean): Promise<void> {
    const { gained, revoked, lost } = await member.tend();
    for (const task of gained) known.set(task.id, this.#load(task));
    for (const id of lost) known.delete(id);
    expect([...known.keys()].toSorted()).toEqual(owned(member));
    if (!release) return;
    await member.release(revoked);
    for (const id of revoked) known.delete(id);
  }

  /** What a new owner finds is what was committed last. */
  #load({ id, epoch, meta }: OwnedTask): { epoch: number; count: number } {
    const count = meta === undefined ? 0 : Number(Buffer.from(meta).toString());
    expect(this.#counts.get(id)).toContain(count);
    return { epoch, count };
  }

  async #commit({ member, known, broker }: Life, pick: number): Promise<void> {
    const all = [...known];
    const chosen = all[pick % Math.max(1, all.length)];
    if (chosen === undefined) return;
    const [task, { epoch, count }] = chosen;
    const meta = Buffer.from(String(count + 1));
    try {
      await member.commit({ task, epoch, positions: [], meta, outputs: [] });
      expect(this.#counts.get(task), `${task} is committed by one member`).toContain(count);
      this.#counts.set(task, [count + 1]);
      known.set(task, { epoch, count: count + 1 });
    } catch (error) {
      if (!MillraceError.is(error)) throw error;
      if (error.code === 'MR_FENCED') known.delete(task);
      else if (error.code === 'MR_IO') {
        // A commit that would have been refused fails like its neighbours when their transaction does.
        const possible = this.#counts.get(task) ?? [];
        if (possible.includes(count)) this.#counts.set(task, [...possible, count + 1]);
        const stored = (await broker.describeGroup('g'))?.tasks.find(({ id }) => id === task);
        if (stored === undefined) throw error;
        // Somebody else may own it already; a commit would then be refused.
        if (stored.epoch === epoch) known.set(task, this.#load(stored));
      }
      if (error.code === 'MR_FENCED' || error.code === 'MR_IO') return;
      throw error;
    }
  }

  /** Time passes, the living look after themselves, and everything has one owner, evenly. */
  async #end(): Promise<void> {
    const lives = this.#lives.filter((life) => life !== undefined);
    const members = lives.map(({ member }) => member);
    await settled(...members);
    await this.#clock.advance(LEASE_MS / 2);
    await settled(...members);
    await this.#clock.advance(LEASE_MS / 2);
    await settled(...members);
    if (members.length === 0) return;
    expect(members.flatMap(owned).toSorted()).toEqual(TASKS);
    for (const part of ['a/', 'b/']) {
      const size = TASKS.filter((id) => id.startsWith(part)).length;
      for (const member of members) {
        const share = owned(member).filter((id) => id.startsWith(part)).length;
        expect(share).toBeGreaterThanOrEqual(Math.floor(size / members.length));
        expect(share).toBeLessThanOrEqual(Math.ceil(size / members.length));
      }
    }
    for (const { broker } of lives) await broker.close();
  }
}

test('never can two members commit one task, and at last each has one owner', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(step, { minLength: 5, maxLength: 40 }),
      async (linked, steps) => await new History(linked).run(steps),
    ),
    { numRuns: 1000 },
  );
}, 120_000);
