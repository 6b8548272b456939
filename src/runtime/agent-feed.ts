/**
 * The queue between a task and the body of an agent.
 *
 * The task offers events, several at once; the body takes one after the other, or some together. An event is delivered when the body gets it, and
 * finished when the body asks for the next: or, where acknowledgement is the body's, when it is acknowledged. What waits here may be taken
 * back by the task ({@link AgentFeed.sweep}).
 *
 * Events that were delivered together stay together: they are finished, refused and tried again as one.
 *
 * @module
 */
import type { Clock, Timer } from '../core/clock.ts';
import { Effects } from '../core/effects.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { mayWait } from '../core/flight.ts';
import { settleWaits } from '../table/processing.ts';
import type { ProcessingCell } from '../table/processing.ts';
import { settleInto } from './guard.ts';

/** Events that a body which acknowledges by hand may have at once. */
const MOST_UNACKNOWLEDGED = 100_000;

/** An event on its way through a body. */
export interface Offer {
  readonly value: unknown;
  /** The task's cell of the event. */
  readonly from: EventCell;
  /** Monotonic time at which it first came to the queue, or one that came again with it. */
  readonly cameAt: number;
  /** How often the body has failed with it. */
  attempts: number;
  /** Whether the body has yielded something for it, since it was delivered last. */
  answered: boolean;
  /** What the body sees, and what it has changed; made when it is delivered. */
  event: EventCell | undefined;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One event or several, as the body takes them. */
type Batch = readonly Offer[];

interface Waiting {
  readonly most: number;
  readonly withinMs: number | undefined;
  readonly resolve: (batch: Batch | undefined) => void;
}

/** The task's end and the body's end of an agent's stream. One body at a time. */
export class AgentFeed {
  readonly #clock: Clock;
  /** The cell of the body: it points at the event that was delivered last. */
  readonly #cell: ProcessingCell;
  readonly #want: () => void;
  readonly #finishing: (offer: Offer) => void;
  #queue: Offer[] = [];
  /** Groups that have failed and come again as they were, before all others. */
  #groups: Batch[] = [];
  /** What the body has and has not finished. */
  #delivered: Offer[] = [];
  #current: Offer | undefined;
  #waiting: Waiting | undefined;
  #timer: Timer | undefined;
  #due = false;
  /** When the first of those came that were taken back last; Infinity when they are back. */
  #sweptAt = Infinity;
  #barrier = false;
  #looking = false;
  #handing = false;
  #ended = false;
  #drained = false;
  #givenUp = false;
  #wanted = 0;
  /** Set by a body that acknowledges by itself. */
  manual = false;

  /**
   * `want` is called when {@link AgentFeed.wanted} has changed, `finishing` for each event that the body is done with, before what it has changed
   * takes effect.
   */
  constructor(
    clock: Clock,
    cell: ProcessingCell,
    want: () => void,
    finishing: (offer: Offer) => void,
  ) {
    this.#clock = clock;
    this.#cell = cell;
    this.#want = want;
    this.#finishing = finishing;
  }

  /** Offers an event; resolves when it is finished, rejects when it failed for good. */
  offer(value: unknown, from: EventCell): Promise<void> {
    if (!mayWait(from)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#queue.push({
        value,
        from,
        cameAt: this.#cameAt(),
        attempts: 0,
        answered: false,
        event: undefined,
        resolve,
        reject,
      });
      if (this.#waiting === undefined) return;
      if (this.#due || this.#barrier) this.#lookSoon();
      else this.#look();
    });
  }

  /** What was taken back has come already. */
  #cameAt(): number {
    const now = this.#clock.monotonic();
    const cameAt = Math.min(now, this.#sweptAt);
    this.#sweptAt = Infinity;
    return cameAt;
  }

  /** How many events the body must be able to have so that it can go on. */
  get wanted(): number {
    return this.#wanted;
  }

  #wants(events: number): void {
    if (events <= this.#wanted) return;
    this.#wanted = events;
    this.#want();
  }

  /** Whether the body does nothing, or waits for more events before it acknowledges those that it has. */
  get resting(): boolean {
    return this.#delivered.length === 0 || (this.manual && this.#waiting !== undefined);
  }

  /** The body asks for one more event: those before are finished. `undefined`: there are no more. */
  async next(): Promise<Offer | undefined> {
    const batch = await this.take(1, undefined);
    return batch?.[0];
  }

  /**
   * The body asks for up to `most` events together: as many as there are once there are so many, or `withinMs` after the first of them came,
   * or once the task waits for a commit.
   */
  take(most: number, withinMs: number | undefined): Promise<Batch | undefined> {
    if (this.#waiting !== undefined || this.#handing)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        'an agent asked for its next event twice at once; iterate its stream in one place only',
      );
    if (!this.manual) {
      const waits = settleWaits(this.#cell);
      if (waits !== undefined) return waits.then(() => this.take(most, withinMs));
      this.#finish();
    }
    if (this.#ended || this.#nothingMore()) return Promise.resolve(undefined);
    if (most > 1) this.#wants(most * 2);
    if (this.manual)
      this.#wants(Math.min(MOST_UNACKNOWLEDGED, 2 * (this.#delivered.length + most)));
    if (most === 1 && this.#queue.length > 0 && this.#groups.length === 0)
      return Promise.resolve(this.#deliver(this.#queue.splice(0, 1)));
    return new Promise((resolve) => {
      this.#waiting = { most, withinMs, resolve };
      this.#look();
    });
  }

  /** Gives the body what it waits for, if it is there. */
  #look(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    const { most, withinMs } = waiting;
    const group = this.#groups.shift();
    if (group !== undefined) {
      this.#queue.unshift(...group.slice(most));
      this.#stopWaiting();
      waiting.resolve(this.#deliver(group.slice(0, most)));
      return;
    }
    const there = this.#queue.length;
    if (there >= most || (there > 0 && (this.#due || this.#barrier))) {
      this.#stopWaiting();
      waiting.resolve(this.#deliver(this.#queue.splice(0, most)));
      return;
    }
    const [first] = this.#queue;
    if (first === undefined || withinMs === undefined || this.#timer !== undefined) return;
    this.#timer = this.#clock.setTimer(
      Math.max(0, first.cameAt + withinMs - this.#clock.monotonic()),
      () => {
        this.#timer = undefined;
        this.#due = true;
        this.#look();
      },
      { unref: true },
    );
  }

  #stopWaiting(): void {
    this.#waiting = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#due = false;
  }

  /** Looks when all events that come in one go are there: those that were taken back come together. */
  #lookSoon(): void {
    if (this.#looking) return;
    this.#looking = true;
    queueMicrotask(() => {
      this.#looking = false;
      this.#look();
    });
  }

  #deliver(batch: Batch): Batch {
    // Nobody can have seen the batch before the next microtask: whoever asks again until then reads ahead.
    this.#handing = true;
    queueMicrotask(() => {
      this.#handing = false;
    });
    const effects = new Effects(batch.some(({ from }) => from.effects?.beside === true));
    for (const offer of batch) {
      if (offer.from.flight !== null) offer.from.flight.delivered = true;
      offer.event = { ...offer.from, effects };
      offer.answered = false;
      this.#delivered.push(offer);
    }
    this.#current = batch.at(-1);
    this.#cell.event = this.#current?.event ?? null;
    return batch;
  }

  /** The event that was delivered last, if it is not finished. */
  get current(): Offer | undefined {
    return this.#current;
  }

  /** Everything that the body has is finished. */
  #finish(): void {
    const delivered = this.#delivered;
    if (delivered.length === 0) return;
    this.#delivered = [];
    this.#current = undefined;
    this.#cell.event = null;
    for (const offer of delivered) this.#finishing(offer);
    settleAll(delivered);
  }

  /** Whether the body has the event and has not finished it. */
  has(offer: Offer): boolean {
    return this.#delivered.includes(offer);
  }

  /** The body is done with an event and those that came with it. Does nothing for one that is finished already. */
  acknowledge(offer: Offer): void {
    const group = this.refuse(offer);
    for (const each of group) this.#finishing(each);
    settleAll(group);
  }

  /** Takes an event and those that came with it away from the body, which has refused it. Nothing when it is finished already. */
  refuse(offer: Offer): readonly Offer[] {
    if (!this.has(offer)) return [];
    const effects = offer.event?.effects;
    const group = this.#delivered.filter(({ event }) => event?.effects === effects);
    this.#delivered = this.#delivered.filter((each) => !group.includes(each));
    if (this.#current !== undefined && group.includes(this.#current)) {
      this.#current = undefined;
      this.#cell.event = null;
    }
    return group;
  }

  /** Takes away what the body has and has not finished: it has failed with it. */
  takeUnfinished(): Offer[] {
    const unfinished = this.#delivered;
    this.#delivered = [];
    this.#current = undefined;
    this.#cell.event = null;
    this.#stopWaiting();
    return unfinished;
  }

  /** Events come again, before all others; those that were delivered together, together. */
  again(offers: readonly Offer[]): void {
    if (this.#givenUp) {
      letGo(offers);
      return;
    }
    const groups = new Map<Effects | null | undefined, Offer[]>();
    for (const offer of offers) {
      const effects = offer.event?.effects;
      const group = groups.get(effects);
      if (group === undefined) groups.set(effects, [offer]);
      else group.push(offer);
    }
    this.#groups.unshift(...groups.values());
    this.#look();
  }

  /** Lets go of what was taken back. */
  sweep(): void {
    const gone = this.#queue.filter((offer) => isWithdrawn(offer));
    if (gone.length === 0) return;
    this.#queue = this.#queue.filter((offer) => !isWithdrawn(offer));
    for (const { cameAt } of gone) this.#sweptAt = Math.min(this.#sweptAt, cameAt);
    // Nobody keeps what it might still do: whoever has withdrawn it waits for the end of everything that is done for it.
    for (const { resolve } of gone) resolve();
  }

  /** There will be no more events. A body that acknowledges by hand hears of it, so that it can finish what it has. */
  drain(): void {
    this.#drained = true;
    if (this.#waiting === undefined || !this.#nothingMore()) return;
    const { resolve } = this.#waiting;
    this.#stopWaiting();
    resolve(undefined);
  }

  #nothingMore(): boolean {
    return this.#drained && this.manual && this.#queue.length === 0 && this.#groups.length === 0;
  }

  /** Whether the body was told that there are no more events. */
  get drained(): boolean {
    return this.#drained && this.manual;
  }

  /** The body has ended because it was {@link AgentFeed.drained}: what it has not finished, and what is to come again, is for another owner. */
  giveUp(): void {
    this.#givenUp = true;
    const unfinished = this.takeUnfinished();
    for (const effects of new Set(unfinished.map(({ event }) => event?.effects).toReversed()))
      effects?.rollback();
    letGo([...this.#groups.flat(), ...unfinished]);
    this.#groups = [];
  }

  /** The task waits for a commit, or no longer: then what waits for company is delivered without. */
  barrier(waiting: boolean): void {
    this.#barrier = waiting;
    if (waiting) this.#look();
  }

  /** No more events: the body's loop ends. */
  end(): void {
    this.#ended = true;
    const waiting = this.#waiting;
    this.#stopWaiting();
    waiting?.resolve(undefined);
  }

  /** Every event that is not finished fails. */
  fail(error: unknown): void {
    this.#ended = true;
    const offers = [...this.#delivered, ...this.#groups.flat(), ...this.#queue];
    this.#delivered = [];
    this.#groups = [];
    this.#queue = [];
    for (const { reject } of offers) reject(error);
  }
}

/** Finished events: what they changed takes effect with the first of those that share it, since a commit may cover that one alone. */
function settleAll(offers: readonly Offer[]): void {
  const settled = new Set<Effects>();
  for (const { event, from } of offers) {
    const effects = event?.effects;
    if (effects === undefined || effects === null || settled.has(effects)) continue;
    settled.add(effects);
    settleInto(from, effects);
  }
  for (const { resolve } of offers) resolve();
}

/** They are taken back, whoever has had them. */
function letGo(offers: readonly Offer[]): void {
  for (const { from, resolve } of offers) {
    if (from.flight !== null) from.flight.withdrawn = true;
    resolve();
  }
}

function isWithdrawn({ from }: Offer): boolean {
  return from.flight?.withdrawn === true;
}
