/**
 * Several events at once: the way of tasks with agents.
 *
 * Events are offered to the graph in the order of the inputs, as many as may be under way, and end in any order. A commit that is exactly once
 * waits for those that user code has. Whatever waits in front of user code is taken back, with what the operators on the way have changed for
 * it, and is offered again behind the commit ({@link Row}). At-least-once, a commit covers the finished events in front and waits for nobody.
 *
 * @module
 */
import { Effects } from '../core/effects.ts';
import type { EventCell, Flight } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import type { Processing } from '../table/processing.ts';
import { checkPlace, settleFailure } from './guard.ts';
import type { TaskInput } from './input.ts';
import { isForPolicy, Replay } from './replay.ts';
import { count, finalError, nextInput, setNotAfter } from './steps.ts';
import type { Steps, StepsContext } from './steps.ts';
import { canGoBack, Row } from './taken.ts';
import type { Taken } from './taken.ts';
import { newEvent } from './task-life.ts';
import type { TaskLife } from './task-life.ts';
import { withWaits } from './waits.ts';

/** Events under way at once, unless agents can use more. */
const UNDER_WAY = 256;
/** The same where most of them would be taken back again at the next commit. */
const LEAST_UNDER_WAY = 16;

/** How long one event that goes alone may be held before another one may join it. */
const HOLDS_AFTER_MS = 1_000;

export class ConcurrentSteps implements Steps {
  readonly #context: StepsContext;
  readonly #life: TaskLife;
  readonly #processing: Processing;
  readonly #row = new Row();
  /** Taken back, to be offered again before anything else. */
  #again: Taken[] = [];
  /** Offered and not ended. */
  #open = 0;
  /** Offered last: until it has come to an agent nothing behind it is, so that it keeps its place if it has to be tried again. */
  #last: Taken | undefined;
  /** Whether somebody waits for that. */
  #isHeld = false;
  /** When the last one was, on the monotonic clock. */
  #offeredAt = 0;
  #taken = 0;
  /** Finished since the last commit. */
  #finishedSince = 0;
  /** Bytes of what finished events have sent that is not among the outputs yet. */
  #heldBytes = 0;
  /** At-least-once: finished since the last step. */
  #finished: Taken[] = [];
  #underWay = UNDER_WAY;
  readonly #room: number;
  #draining = false;
  #pauses = 0;
  #paused: PromiseWithResolvers<void> | undefined;
  #urged = false;
  /** What ends this life of the task: nothing of it may be committed from then on. */
  #failure: unknown;
  /** Behind a replay: one event at a time until these offsets are passed, by topic. */
  readonly #alone: ReadonlyMap<string, number>;
  /** Whether it went alone since the last commit. */
  #wentAlone: boolean;

  constructor(
    context: StepsContext,
    life: TaskLife,
    processing: Processing,
    alone: ReadonlyMap<string, number>,
  ) {
    this.#context = context;
    this.#life = life;
    this.#processing = processing;
    this.#alone = alone;
    this.#wentAlone = this.#isAlone();
    this.#room = life.agents.reduce((sum, { room }) => sum + room, 0);
  }

  step(limit: number): number {
    this.throwFailure();
    this.#completeFinished();
    if (this.#draining || this.#pauses > 0) return 0;
    setNotAfter(this.#life, this.#context);
    let done = 0;
    while (done < limit && this.#offerNext()) done++;
    return done;
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Offers one event, if there is one and room for it. */
  #offerNext(): boolean {
    const life = this.#life;
    if (this.#failure !== undefined || this.#draining || this.#pauses > 0) return false;
    const alone = this.#isAlone();
    this.#urge(alone);
    if (this.#isInFront(this.#last)) {
      this.#isHeld = true;
      return false;
    }
    if (this.#open >= (alone ? this.#mostAlone() : this.#mostUnderWay())) return false;
    const again = this.#again.shift();
    if (again !== undefined) {
      this.#offer(again);
      return true;
    }
    if (this.#isFull() || this.#isLoaded() || this.#isBehindReplay()) return false;
    const input = nextInput(life.inputs, this.#context);
    if (input === undefined) return false;
    const control = input.control();
    const passed = control ?? (input.isDone ? input.pass() : undefined);
    if (passed !== undefined) {
      const rest = { event: undefined, value: undefined, undecodable: undefined, cell: undefined };
      const flight = this.#flying(-Infinity, undefined);
      const before = control === undefined;
      const number = this.#taken++;
      this.#row.add({ input, passed, number, ...rest, flight, state: 'complete', before });
      this.#settle();
      return true;
    }
    const event = newEvent(life.cell.tables.partition);
    let value: unknown;
    let undecodable: Taken['undecodable'];
    try {
      value = input.load(event);
    } catch (error) {
      undecodable = { error };
    }
    const behind = input.pass();
    const taken: Taken = {
      input,
      // The time of what cannot be read does not count.
      passed: undecodable === undefined ? behind : { ...behind, timestamp: undefined },
      number: this.#taken++,
      event,
      value,
      undecodable,
      flight: this.#flying(life.ahead?.advance() ?? -Infinity, undefined),
      cell: undefined,
      state: 'back',
      before: false,
    };
    this.#row.add(taken);
    this.#offer(taken);
    return true;
  }

  /** Whether operators in front of the agents are still at work on an event, or its policy is. */
  #isInFront(taken: Taken | undefined): boolean {
    if (taken?.state !== 'open') return false;
    const { queues, delivered } = taken.flight;
    return queues === 0 && !delivered;
  }

  /** How many events may be under way. */
  #mostUnderWay(): number {
    return Math.max(this.#underWay, this.#room, this.#life.wanted);
  }

  /** One, unless an agent has held on to those that it has for a while, as if it waited for more: then they cannot be told apart. */
  #mostAlone(): number {
    if (this.#open === 0 || !this.#resting) return 1;
    if (this.#context.clock.monotonic() < this.#offeredAt + HOLDS_AFTER_MS) return this.#open;
    for (const { state, flight } of this.#row)
      if (state === 'open' && !flight.delivered) return this.#open;
    return this.#open + 1;
  }

  get #resting(): boolean {
    return this.#life.agents.every((agent) => agent.resting);
  }

  /** Whether a commit must come before more events are taken. */
  #isFull(): boolean {
    const { commit, progress, atLeastOnce } = this.#context;
    // At-least-once, finished events are counted when they are committed with all before them.
    const taken = progress.events + (atLeastOnce ? this.#row.size : this.#open);
    return taken >= Math.max(commit.every, this.#life.wanted);
  }

  /** Whether there is so much to send that it must go before more events are taken. */
  #isLoaded(): boolean {
    return this.#life.outputs.bytes + this.#heldBytes >= this.#context.commit.maxBufferedBytes;
  }

  get full(): boolean {
    const { atLeastOnce } = this.#context;
    // At-least-once, what is to be sent goes without a commit.
    if ((!atLeastOnce && this.#isLoaded()) || this.#isBehindReplay()) return true;
    return this.#isFull() && this.#context.progress.events > 0 && this.oldest === undefined;
  }

  /** Whether a replay has not passed yet what it was for. */
  #isAlone(): boolean {
    return (
      this.#alone.size > 0 &&
      this.#life.inputs.some(({ topic, position }) => position < (this.#alone.get(topic) ?? 0))
    );
  }

  /** Whether it has passed what a replay was for: that is committed first, or the next failure would bring it all back. */
  #isBehindReplay(): boolean {
    const { progress, atLeastOnce } = this.#context;
    return this.#wentAlone && !atLeastOnce && progress.events > 0 && !this.#isAlone();
  }

  /** Has agents take what there is instead of waiting for more: more may not come before they have. */
  #urge(on: boolean): void {
    if (on === this.#urged) return;
    this.#urged = on;
    for (const agent of this.#life.agents) agent.barrier(on);
  }

  #flying(streamTime: number, taken: Taken | undefined): Flight {
    const onQueued = taken === undefined ? undefined : () => this.#queued(taken);
    const isOvertaken = taken === undefined ? undefined : () => this.#row.isOvertaken(taken);
    return { queues: 0, delivered: false, withdrawn: false, streamTime, onQueued, isOvertaken };
  }

  #offer(taken: Taken): void {
    const { input, value, undecodable } = taken;
    const event = taken.event as EventCell;
    taken.state = 'open';
    taken.flight = this.#flying(taken.flight.streamTime, taken);
    event.flight = taken.flight;
    event.effects = new Effects(!this.#context.atLeastOnce && !this.#isAlone());
    this.#open++;
    this.#last = taken;
    this.#isHeld = false;
    if (this.#alone.size > 0) this.#offeredAt = this.#context.clock.monotonic();
    if (undecodable === undefined) this.#run(taken, () => input.receive(value, event));
    else this.#undecodable(taken, undecodable.error);
  }

  /** Runs the graph for an event, or what its policy says, and sees to its end. */
  #run(taken: Taken, go: () => void | Promise<void>): void {
    const event = taken.event as EventCell;
    const attempt = (): void | Promise<void> => {
      if (taken.cell !== undefined) taken.cell.event = null;
      taken.cell = this.#life.guards.cellFor(event);
      return withWaits(taken.cell, this.#processing.within(taken.cell, go));
    };
    const ended = (): void => this.#ended(taken);
    const failed = (error: unknown): void => this.#failed(taken, error, attempt);
    try {
      const result = attempt();
      if (isPromise(result)) void result.then(ended, failed);
      else ended();
    } catch (error) {
      failed(error);
    }
  }

  /** Nothing more is done for an event. */
  #ended(taken: Taken): void {
    const life = this.#life;
    if (taken.cell !== undefined) taken.cell.event = null;
    this.#open--;
    if (life.abort.signal.aborted) return;
    const { flight } = taken;
    const { atLeastOnce, progress } = this.#context;
    const waiting = Number.isNaN(progress.firstAt);
    if (flight.withdrawn) taken.state = 'back';
    else {
      taken.state = 'kept';
      this.#finishedSince++;
      if (flight.delivered || atLeastOnce) this.#finish(taken);
      this.#settle();
      if (atLeastOnce) this.#finished.push(taken);
    }
    if (this.#open === 0) this.#allEnded();
    // A commit may be due from now on; at-least-once, what was sent may go.
    const held = this.#isHeld && taken === this.#last;
    const news =
      held || atLeastOnce || this.#isFull() || waiting !== Number.isNaN(progress.firstAt);
    if (news || this.#open <= this.#mostUnderWay() / 2) this.#context.wake();
  }

  /** What was changed on behalf of an event stays. */
  #finish(taken: Taken): void {
    if (taken.state !== 'kept') return;
    taken.state = 'finished';
    const effects = taken.event?.effects;
    effects?.confirm();
    this.#heldBytes += effects?.heldBytes ?? 0;
    if (!this.#context.atLeastOnce) count(this.#context, this.#life);
  }

  /** It is the turn of an event: what was sent on its behalf goes to the outputs. */
  #complete(taken: Taken): void {
    this.#finish(taken);
    if (taken.state !== 'finished') return;
    taken.state = 'complete';
    const effects = taken.event?.effects;
    this.#heldBytes -= effects?.heldBytes ?? 0;
    effects?.settle();
  }

  /** At-least-once, what has been sent waits for those that finish in the same turn, and for nobody else. */
  #completeFinished(): void {
    if (this.#finished.length === 0) return;
    const finished = this.#finished.toSorted((a, b) => a.number - b.number);
    this.#finished = [];
    for (const taken of finished) this.#complete(taken);
  }

  /** Moves the positions over the finished events in front. */
  #settle(): void {
    const life = this.#life;
    if (life.abort.signal.aborted) return;
    for (const first of this.#row.settled()) {
      this.#complete(first);
      first.input.settle(first.passed);
      life.time.advance();
      if (first.event !== undefined && this.#context.atLeastOnce) count(this.#context, life);
    }
  }

  #failed(taken: Taken, error: unknown, attempt: () => void | Promise<void>): void {
    const { flight } = taken;
    if (flight.withdrawn || this.#life.abort.signal.aborted) {
      this.#ended(taken);
      return;
    }
    const event = taken.event as EventCell;
    const { guards, policy } = this.#life;
    const end = (last: unknown): void => this.#failedForGood(event, last);
    if (policy.failsAtOnce || !isForPolicy(error)) {
      end(error);
      return;
    }
    // Nothing of it waits anywhere, until it is tried again.
    flight.queues = 0;
    try {
      checkPlace(event, policy, error);
      const settled = settleFailure(guards, policy, event, event, error, attempt);
      if (isPromise(settled)) void settled.then(() => this.#ended(taken), end);
      else this.#ended(taken);
    } catch (last) {
      end(last);
    }
  }

  /** A record that cannot be decoded never reaches the graph. */
  #undecodable(taken: Taken, error: unknown): void {
    const event = taken.event as EventCell;
    const { guards } = this.#life;
    const { decodePolicy } = taken.input;
    try {
      if (decodePolicy.failsAtOnce || !isForPolicy(error)) throw error;
      // Its policy has no retries, so there is nothing to wait for.
      void settleFailure(guards, decodePolicy, event, event, error, () => undefined);
      this.#ended(taken);
    } catch (last) {
      this.#failedForGood(event, last);
    }
  }

  #failedForGood(event: EventCell, error: unknown): void {
    const { task } = this.#context;
    if (this.#life.abort.signal.aborted) return;
    const alone = error instanceof Replay && error.offset < (this.#alone.get(error.topic) ?? 0);
    this.#fail(finalError(task, event, error, alone));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#paused?.resolve();
    this.#context.wake();
  }

  pause(): Promise<void> | undefined {
    this.#pauses++;
    if (this.#pauses > 1) return this.#paused?.promise;
    this.#takeBack();
    if (this.#open === 0) this.#rollBack();
    if (this.#open === 0 || this.#failure !== undefined) return undefined;
    this.#paused = Promise.withResolvers();
    this.#urge(true);
    return this.#paused.promise;
  }

  resume(): void {
    this.#pauses--;
    if (this.#pauses > 0) return;
    this.#paused = undefined;
    this.#wentAlone &&= this.#isAlone();
    this.#limitUnderWay();
    this.#urge(false);
    this.#context.wake();
  }

  /** Takes back what waits in front of user code. */
  #takeBack(): void {
    const waiting = this.#row.waiting(this.#draining && this.#context.atLeastOnce);
    if (waiting.length === 0) return;
    for (const { flight } of waiting) flight.withdrawn = true;
    // Each of them ends once nothing else is done for it.
    for (const agent of this.#life.agents) agent.sweep();
  }

  /** Most of those that wait should be finished before the next commit, and not come again and again. */
  #limitUnderWay(): void {
    const waiting = this.#again.length;
    const finished = this.#finishedSince;
    this.#finishedSince = 0;
    this.#underWay =
      waiting <= finished
        ? UNDER_WAY
        : Math.min(UNDER_WAY, Math.max(LEAST_UNDER_WAY, finished * 4));
  }

  /** An event has come to a queue. If the task waits for a commit it goes no further. */
  #queued(taken: Taken): void {
    const { event, flight } = taken;
    if (this.#isHeld && taken === this.#last) this.#context.wake();
    if (this.#pauses === 0 && !this.#draining) return;
    if (canGoBack(flight) && event?.effects?.empty === true) flight.withdrawn = true;
    else this.#takeBack();
  }

  /** Nothing is under way: the commit may go on. */
  #allEnded(): void {
    if (this.#pauses > 0 || this.#draining) this.#rollBack();
    this.#paused?.resolve();
  }

  /** Takes back what was changed for those that were withdrawn. */
  #rollBack(): void {
    const { back, complete } = this.#row.part();
    for (const taken of complete) this.#complete(taken);
    for (const taken of back) {
      const { event } = taken;
      if (taken.state === 'kept') this.#finishedSince--;
      taken.state = 'back';
      if (event?.effects?.rollback() !== false || this.#context.atLeastOnce) continue;
      this.#failedForGood(event, new Replay(event, undefined));
      return;
    }
    this.#again = [...this.#row].filter(({ state }) => state === 'back');
  }

  drain(): void {
    this.#draining = true;
    this.#takeBack();
    for (const agent of this.#life.agents) agent.drain();
  }

  done(input: TaskInput): Iterable<number> {
    return this.#row.done(input);
  }

  get quiet(): boolean {
    return this.#open === 0 && (this.#draining || this.#again.length === 0);
  }

  get oldest(): EventCell | undefined {
    const resting = this.#resting;
    for (const { event, state, flight } of this.#row) {
      if (event === undefined || state !== 'open') continue;
      if (flight.queues === 0 || (flight.delivered && !resting)) return event;
    }
    // Whoever rests waits for events; these will not come while others are in their way.
    return this.#context.atLeastOnce && this.#isFull() ? this.#row.first?.event : undefined;
  }
}
