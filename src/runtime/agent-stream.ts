/**
 * What an agent's body sees of its source.
 *
 * @module
 */
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import { eventView } from '../stream/stream-event.ts';
import type { EventView } from '../stream/stream-event.ts';
import type { AgentFeed, Offer } from './agent-feed.ts';

/** A record as a program sees it. */
export interface StreamEvent<T, K = null> extends EventView<T, K> {
  /** The event is dealt with. Needed with `events({ ack: 'manual' })` and `noack()` only; elsewhere it changes nothing. */
  ack(): void;
  /**
   * The event has failed: its policy decides. Only with `events({ ack: 'manual' })` and `noack()`.
   *
   * @throws `MR_ARGUMENT_INVALID` elsewhere: throw an error instead.
   */
  nack(reason?: unknown): void;
  /**
   * Sends the record on as it is stored: key, value, time and headers, to the partition of its key, within the task's commit.
   *
   * @throws `MR_SEND_OUTSIDE` when the event is finished, and outside an agent.
   */
  forward(to: { readonly name: string }): void;
}

/** How a body takes events. */
export interface EventsOptions {
  /**
   * `'auto'` (default): an event is finished when the body asks for the next one. `'manual'`: when it is acknowledged; at-least-once only.
   */
  readonly ack?: 'auto' | 'manual' | undefined;
}

/**
 * The stream of an agent. What would cut the topology (`groupBy`, `update` and the like) belongs in the agent's source.
 *
 * - *Order*: that of the partition; with `concurrency`, of each key.
 * - *Back-pressure*: the next event comes when the body asks for it.
 * - *State*: none; local variables of the body are not state, they are gone after a restart.
 * - *Delivery*: exactly once for tables, sends and yields; what else the body does, at least once.
 */
export interface AgentStream<out T, out K> extends AsyncIterable<T> {
  [Symbol.asyncIterator](): AsyncIterableIterator<T>;
  map<R>(fn: (value: T) => R): AgentStream<Awaited<R>, K>;
  filter<S extends T>(predicate: (value: T) => value is S): AgentStream<S, K>;
  filter(predicate: (value: T) => unknown): AgentStream<T, K>;
  /**
   * Groups of `n` values, 1 to 100,000, or of as many as have come `within` after the first of a group. Under exactly-once a commit may cut a
   * group short when events of other keys are under way. The values of a group succeed or fail together. To be called before operators that change
   * values.
   *
   * @throws `MR_OPTION_INVALID`, and `MR_ARGUMENT_INVALID` behind another operator.
   */
  take(n: number, options?: { readonly within?: Duration | undefined }): AgentStream<T[], K>;
  /** Pairs with a count from `start`, default 0. The count begins anew with each start of the body. */
  enumerate(start?: number): AgentStream<[number, T], K>;
  /** The events themselves, with key, time, place and headers. */
  events(options?: EventsOptions): AgentStream<StreamEvent<T, K>, K>;
  /** Pairs of key and value. */
  items(): AgentStream<[K, T], K>;
  /**
   * The same values, whose events are finished only by `stream.event.ack()`; at-least-once only.
   *
   * @throws `MR_OPTION_INVALID` in an app that is exactly-once.
   */
  noack(): AgentStream<T, K>;
  /** The event that was delivered last and is not finished, with its key, time and place. */
  readonly event: StreamEvent<T, K> | undefined;
}

/** What the stream needs of the agent around it. */
export interface AgentStreamContext {
  readonly agent: string;
  readonly feed: AgentFeed;
  readonly atLeastOnce: boolean;
  /** Events that came together were refused. */
  refused(offers: readonly Offer[], reason: unknown): void;
  forward(to: string, event: EventCell): void;
}

type Next<T> = () => Promise<IteratorResult<T>>;

const end: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** The body's end of a feed. */
export function agentStream<T, K>(context: AgentStreamContext): AgentStream<T, K> {
  const { feed } = context;
  const next: Next<T> = async () => {
    const offer = await feed.next();
    return offer === undefined ? end : { done: false, value: offer.value as T };
  };
  return new Stage<T, K>(context, next, true);
}

class Stage<T, K> implements AgentStream<T, K> {
  readonly #context: AgentStreamContext;
  readonly #next: Next<T>;
  /** Whether values are still those of the topic. */
  readonly #first: boolean;

  constructor(context: AgentStreamContext, next: Next<T>, first: boolean) {
    this.#context = context;
    this.#next = next;
    this.#first = first;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    const next = this.#next;
    const iterator: AsyncIterableIterator<T> = {
      next: () => next(),
      return: () => Promise.resolve(end),
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  map<R>(fn: (value: T) => R): AgentStream<Awaited<R>, K> {
    return this.#stage(async () => {
      const result = await this.#next();
      return result.done === true ? result : { done: false, value: await fn(result.value) };
    });
  }

  filter<S extends T>(predicate: (value: T) => value is S): AgentStream<S, K>;
  filter(predicate: (value: T) => unknown): AgentStream<T, K>;
  filter(predicate: (value: T) => unknown): AgentStream<T, K> {
    return new Stage<T, K>(
      this.#context,
      async () => {
        for (;;) {
          const result = await this.#next();
          if (result.done === true || Boolean(await predicate(result.value))) return result;
        }
      },
      false,
    );
  }

  take(n: number, options: { readonly within?: Duration | undefined } = {}): AgentStream<T[], K> {
    const { agent, feed } = this.#context;
    if (!Number.isInteger(n) || n < 1 || n > 100_000)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `agent ${agent} takes ${String(n)} events at once; give a whole number from 1 to 100000`,
        { details: { agent, n } },
      );
    if (!this.#first)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `agent ${agent} calls take behind another operator of its stream; call it first, and put filters into the agent's source`,
        { details: { agent } },
      );
    const withinMs =
      options.within === undefined ? undefined : durationMs(options.within, 'within');
    return this.#stage(async () => {
      const batch = await feed.take(n, withinMs);
      return batch === undefined
        ? end
        : { done: false, value: batch.map(({ value }) => value as T) };
    });
  }

  enumerate(start = 0): AgentStream<[number, T], K> {
    let count = start;
    return this.#stage(async () => {
      const result = await this.#next();
      return result.done === true
        ? result
        : { done: false, value: [count++, result.value] as [number, T] };
    });
  }

  events(options: EventsOptions = {}): AgentStream<StreamEvent<T, K>, K> {
    if (options.ack === 'manual') this.#manual("events({ ack: 'manual' })");
    const { feed } = this.#context;
    return this.#stage(async () => {
      const result = await this.#next();
      if (result.done === true) return result;
      return { done: false, value: this.#view(result.value, feed.current as Offer) };
    });
  }

  items(): AgentStream<[K, T], K> {
    const { feed } = this.#context;
    return this.#stage(async () => {
      const result = await this.#next();
      if (result.done === true) return result;
      const key = (feed.current?.from.key?.key ?? null) as K;
      return { done: false, value: [key, result.value] as [K, T] };
    });
  }

  noack(): AgentStream<T, K> {
    this.#manual('noack()');
    return this;
  }

  get event(): StreamEvent<T, K> | undefined {
    const { current } = this.#context.feed;
    return current === undefined ? undefined : this.#view(current.value as T, current);
  }

  #manual(what: string): void {
    const { agent, feed, atLeastOnce } = this.#context;
    if (!atLeastOnce)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `agent ${agent} acknowledges by itself with ${what}, which exactly-once cannot honour: a commit would wait for events that wait for it. Let events be acknowledged as the loop goes on, or give the app processing: 'at-least-once'`,
        { details: { agent } },
      );
    feed.manual = true;
  }

  #view(value: T, offer: Offer): StreamEvent<T, K> {
    const context = this.#context;
    const { feed } = context;
    return {
      ...eventView<T, K>(value, offer.from),
      ack: () => feed.acknowledge(offer),
      nack: (reason) => {
        if (!feed.manual) refuseNack();
        const refused = feed.refuse(offer);
        if (refused.length > 0) context.refused(refused, reason);
      },
      forward: (to) => {
        if (offer.event === undefined || !feed.has(offer)) refuseForward(to.name);
        else context.forward(to.name, offer.event);
      },
    };
  }

  #stage<R>(next: Next<R>): AgentStream<R, K> {
    return new Stage<R, K>(this.#context, next, false);
  }
}

/** An event for a program that is no agent, as when a topic is read from outside. */
export function streamEvent<T, K>(value: T, event: EventCell): StreamEvent<T, K> {
  return {
    ...eventView<T, K>(value, event),
    ack: () => undefined,
    nack: refuseNack,
    forward: (to) => refuseForward(to.name),
  };
}

/** @throws `MR_ARGUMENT_INVALID` */
export function refuseNack(): never {
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    "nack was called where events are not acknowledged by hand; throw an error, or take them with events({ ack: 'manual' })",
  );
}

/** @throws `MR_SEND_OUTSIDE` */
export function refuseForward(topic: string): never {
  throw new MillraceError(
    'MR_SEND_OUTSIDE',
    `an event was forwarded to topic ${topic} by code that does not process it (any more); forward it before you ask for the next one`,
    { details: { topic } },
  );
}
