/**
 * A member of a group on the log. Its lease, what it owns and what it should own are rows; this object knows what was last seen of them, and
 * compares. A commit checks in its own transaction that the task still is this member's.
 *
 * @module
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { Kv, KvTransaction } from '../../kv/kv.ts';
import type {
  GroupChange,
  JoinOptions,
  Membership,
  OwnedTask,
  Placed,
  TaskCommit,
} from '../broker.ts';
import { checkCommit } from '../checks.ts';
import type { TaskState } from '../groups/roster.ts';
import { countChange } from './changes.ts';
import { readGroup, readMember, readTask, writeMember, writeTask } from './group-rows.ts';
import {
  glance,
  leaveStep,
  releaseStep,
  tendStep,
  type Seen,
  type Self,
  type StepContext,
} from './group-steps.ts';
import { appendFrames, route, type Routed } from './partitions.ts';
import type { Topics } from './topics.ts';

/** A lease is renewed when this part of it is over. */
const RENEW_AFTER: number = 1 / 3;
/** A member looks at its group at least so often, whether it was told anything or not. */
const LOOK_MS = 1000;
/** How long to wait before leaving is tried again. */
const LEAVE_AGAIN_MS = 500;

/** What a member needs of the broker object around it. */
export interface GroupContext {
  readonly kv: Kv;
  readonly clock: Clock;
  readonly random: Random;
  readonly topics: Topics;
  /** All members of this broker object, in whichever groups. A member adds and removes itself. */
  readonly members: Set<LogMembership>;
  /** Where this broker object listens, empty when it does not. */
  readonly address: () => string;
  readonly isDead: (address: string) => boolean;
  /** @throws `MR_CLOSED`. */
  assertOpen(): void;
  /** Sees to it that this broker object listens. */
  listen(): Promise<void>;
  /** Finds out which of these addresses nobody listens at any more. */
  probe(addresses: readonly string[]): Promise<void>;
  /** Keeps an eye on the other members of the groups of {@link members}. */
  watch(): void;
  /** Something was appended. */
  appended(): void;
  /** This member has changed its group: tells the other members. */
  changedGroup(member: LogMembership): void;
  /** Something has happened that a member should look at: wakes whoever waits. */
  happened(): void;
}

export class LogMembership implements Membership {
  readonly group: string;
  readonly answer: JoinOptions['answer'];
  readonly #context: GroupContext;
  readonly #step: StepContext;
  readonly #declared: ReadonlySet<string>;
  #tasks = new Map<string, OwnedTask>();
  #revoked: readonly string[] = [];
  /** Addresses of the other members. */
  #others: readonly string[] = [];
  /** Round of the group that was looked at last. */
  #round = Number.NaN;
  #agrees = false;
  #renewAtMs = Number.NEGATIVE_INFINITY;
  #lookAtMs = Number.NEGATIVE_INFINITY;
  /** When something happened that was not looked at yet. */
  #happenedAtMs: number | undefined;
  /** What {@link look} has told of since the last tending. */
  #noticed = '';
  #leaseOverMs = Number.NEGATIVE_INFINITY;
  /** Set while and after leaving; a failure to write it can be tried again. */
  #leaving: Promise<void> | undefined;
  #leaveAgain: Timer | undefined;

  constructor(context: GroupContext, group: string, self: Self, answer: JoinOptions['answer']) {
    const { clock, address, isDead } = context;
    this.group = group;
    this.answer = answer;
    this.#context = context;
    this.#step = { group, self, clock, address, isDead };
    this.#declared = new Set(self.tasks);
  }

  get member(): string {
    return this.#step.self.member;
  }

  get tasks(): readonly OwnedTask[] {
    return [...this.#tasks.values()];
  }

  get agrees(): boolean {
    return this.#agrees;
  }

  get tendAt(): number {
    return this.#happenedAtMs ?? Math.min(this.#renewAtMs, this.#lookAtMs);
  }

  /** Where the other members of the group listen. */
  get others(): readonly string[] {
    return this.#others;
  }

  owns(task: string): boolean {
    return this.#tasks.has(task);
  }

  /** Registers, without taking tasks; the first tending is due then. */
  async enter(): Promise<void> {
    this.#take(await this.#transact((txn) => tendStep(txn, this.#step, this.#round, false)));
    this.#round = Number.NaN;
    this.#happenedAtMs = this.#context.clock.monotonic();
  }

  /** Looks whether something has happened to the group, and says so: of each thing once, until the next tending. */
  look(): void {
    if (this.#leaving !== undefined) return;
    const { kv, isDead } = this.#context;
    const round = readGroup(kv, this.group)?.round;
    const dead = this.#others.filter(isDead).length;
    const noticed = `${round} ${dead}`;
    if ((round === this.#round && dead === 0) || noticed === this.#noticed) return;
    this.#noticed = noticed;
    this.#happened();
  }

  async tend(): Promise<GroupChange> {
    this.#assertMember('tend');
    const { kv, clock } = this.#context;
    const happenedAtMs = this.#happenedAtMs;
    // What happens from here on is for the next time.
    this.#happenedAtMs = undefined;
    this.#noticed = '';
    try {
      let seen =
        clock.monotonic() < this.#renewAtMs ? glance(kv, this.#step, this.#round) : undefined;
      if (seen === undefined) {
        await this.#context.listen();
        seen = await this.#transact((txn) => tendStep(txn, this.#step, this.#round, true));
      }
      return this.#take(seen);
    } catch (error) {
      this.#happenedAtMs ??= happenedAtMs;
      throw error;
    }
  }

  async release(tasks: readonly string[]): Promise<void> {
    this.#assertMember('release tasks');
    const mine = tasks.flatMap((id) => this.#tasks.get(id) ?? []);
    if (mine.length === 0) return;
    const again = await this.#transact((txn) => releaseStep(txn, this.#step, mine));
    for (const { id, epoch } of mine)
      if (this.#tasks.get(id)?.epoch === epoch) this.#tasks.delete(id);
    this.#revoked = this.#revoked.filter((id) => this.#tasks.has(id));
    if (again) this.#happened();
    this.#context.changedGroup(this);
  }

  async commit(commit: TaskCommit): Promise<readonly Placed[]> {
    this.#assertMember(`commit task ${commit.task}`);
    if (!this.#declared.has(commit.task))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `task ${commit.task} is not one that this member has joined group ${this.group} with`,
        { details: { group: this.group, task: commit.task } },
      );
    checkCommit(commit);
    const outputs = route(this.#context.topics, commit.outputs);
    const { task, epoch, positions, meta } = commit;
    try {
      const done = await this.#transact((txn) => this.#commitStep(txn, commit, outputs));
      if (done.renewedAtMs !== undefined) this.#renewed(done.renewedAtMs);
      const owned = this.#tasks.get(task);
      if (owned?.epoch === epoch) this.#tasks.set(task, { ...owned, positions, meta });
      this.#context.appended();
      return done.placed;
    } catch (error) {
      if (MillraceError.is(error) && error.code === 'MR_FENCED') this.#happened();
      throw error;
    }
  }

  leave(): Promise<void> {
    this.#leaving ??= this.#leave().catch((error: unknown) => {
      this.#leaving = undefined;
      this.#leaveLater(error);
      throw error;
    });
    return this.#leaving;
  }

  /** Whoever leaves does not wait for a full disk; but until this is written, nobody works on the tasks. */
  #leaveLater(error: unknown): void {
    const { clock } = this.#context;
    this.#leaveAgain?.cancel();
    if (!MillraceError.is(error) || !(error.retryable || error.code === 'MR_IO')) return;
    if (clock.monotonic() >= this.#leaseOverMs) return;
    const again = (): void => void this.#tryToLeave();
    this.#leaveAgain = clock.setTimer(LEAVE_AGAIN_MS, again, { unref: true });
  }

  async #tryToLeave(): Promise<void> {
    try {
      await this.leave();
    } catch {
      // It is tried again, or the lease is over.
    }
  }

  async #leave(): Promise<void> {
    this.#context.assertOpen();
    await this.#transact((txn) => leaveStep(txn, this.#step));
    this.#tasks.clear();
    this.#revoked = [];
    this.#context.changedGroup(this);
    this.#context.members.delete(this);
    this.#context.watch();
  }

  #commitStep(
    txn: KvTransaction,
    commit: TaskCommit,
    outputs: readonly Routed[],
  ): { readonly placed: readonly Placed[]; readonly renewedAtMs: number | undefined } {
    const { clock } = this.#context;
    const there = readTask(txn, this.group, commit.task);
    const row = readMember(txn, this.group, this.member);
    if (row === undefined || there?.owner !== this.member || there.epoch !== commit.epoch)
      throw this.#fenced(commit, there);
    // Whoever commits is alive, and a worker under load need not write its lease as well.
    const nowMs = clock.monotonic();
    const renew = nowMs >= this.#renewAtMs;
    if (renew) writeMember(txn, this.group, { ...row, deadlineMs: nowMs + row.leaseMs });
    const { positions, meta } = commit;
    const placed = appendFrames(txn, outputs, clock);
    writeTask(txn, this.group, { ...there, positions, meta });
    countChange(txn);
    return { placed, renewedAtMs: renew ? nowMs : undefined };
  }

  /** Takes over what was seen, and tells what that changes. */
  #take({ round, agrees, renewedAtMs, others, tasks, changed }: Seen): GroupChange {
    this.#round = round;
    this.#agrees = agrees;
    this.#others = others.map(({ address }) => address).filter((address) => address !== '');
    if (renewedAtMs !== undefined) this.#renewed(renewedAtMs);
    this.#lookAtMs = Math.min(
      this.#context.clock.monotonic() + LOOK_MS,
      ...others.map(({ deadlineMs }) => deadlineMs),
    );
    this.#context.watch();
    if (changed) this.#context.changedGroup(this);
    if (tasks === undefined) return { gained: [], revoked: this.#revoked, lost: [] };

    const before = this.#tasks;
    const mine = tasks.filter(({ owner }) => owner === this.member);
    this.#tasks = new Map();
    const gained: OwnedTask[] = [];
    const kept: TaskState[] = [];
    for (const task of mine) {
      const known = before.get(task.id);
      const same = known?.epoch === task.epoch;
      this.#tasks.set(task.id, same ? known : asOwned(task));
      if (same) kept.push(task);
      else gained.push(asOwned(task));
    }
    const elsewhere = (list: readonly TaskState[]): readonly string[] =>
      list.filter(({ target }) => target !== this.member).map(({ id }) => id);
    this.#revoked = elsewhere(mine);
    const lost = [...before.keys()].filter((id) => !this.#tasks.has(id));
    return { gained, revoked: elsewhere(kept), lost };
  }

  #renewed(atMs: number): void {
    const { leaseMs } = this.#step.self;
    this.#renewAtMs = atMs + leaseMs * RENEW_AFTER;
    this.#leaseOverMs = atMs + leaseMs;
  }

  #happened(): void {
    this.#happenedAtMs ??= this.#context.clock.monotonic();
    this.#context.happened();
  }

  async #transact<T>(body: (txn: KvTransaction) => T): Promise<T> {
    return await this.#context.kv.transact(body);
  }

  #assertMember(what: string): void {
    this.#context.assertOpen();
    if (this.#leaving === undefined) return;
    throw new MillraceError(
      'MR_CLOSED',
      `this member has left group ${this.group} and cannot ${what}; join again`,
      { details: { group: this.group } },
    );
  }

  #fenced({ task, epoch }: TaskCommit, there: TaskState | undefined): MillraceError {
    const currentEpoch = there?.epoch;
    return new MillraceError(
      'MR_FENCED',
      `task ${task} of group ${this.group} is not this member's any more: this commit has epoch ${String(epoch)}, the current epoch is ${currentEpoch ?? 'unknown'}; drop the state of the task and stop processing it`,
      { domain: 'external', details: { group: this.group, task, epoch, currentEpoch } },
    );
  }
}

function asOwned({ id, epoch, stateId, positions, meta }: OwnedTask): OwnedTask {
  return { id, epoch, stateId, positions, meta };
}
