/**
 * What an agent's body sees of its source: events of one task, one after the other.
 *
 * An event is delivered when the body gets it and finished when the body asks for the next one. There is no queue between: the task
 * offers an event and waits until it is finished.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import type { Headers } from '../core/types.ts';

/** A record as a program sees it. */
export interface StreamEvent<T, K = null> {
  readonly value: T;
  readonly key: K;
  /** Event time, integer milliseconds since 1970. */
  readonly timestamp: number;
  readonly headers: Headers;
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
}

/**
 * The stream of an agent. What would cut the topology (`groupBy`, `update` and the like) belongs in the agent's source.
 *
 * - *Order*: that of the partition.
 * - *Back-pressure*: the task offers the next event when the body asks for it.
 * - *State*: none; local variables of the body are not state, they are gone after a restart.
 * - *Delivery*: exactly once for tables, sends and yields; what else the body does, at least once.
 */
export interface AgentStream<out T, out K> extends AsyncIterable<T> {
  [Symbol.asyncIterator](): AsyncIterableIterator<T>;
  map<R>(fn: (value: T) => R): AgentStream<Awaited<R>, K>;
  filter<S extends T>(predicate: (value: T) => value is S): AgentStream<S, K>;
  filter(predicate: (value: T) => unknown): AgentStream<T, K>;
  /** Pairs with a count from `start`, default 0. The count begins anew with each start of the task. */
  enumerate(start?: number): AgentStream<[number, T], K>;
  /** Pairs of key and value. */
  items(): AgentStream<[K, T], K>;
  /** The event that is being processed, with its key, time and place. */
  readonly event: StreamEvent<T, K> | undefined;
}

interface Offer {
  readonly value: unknown;
  readonly event: EventCell;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The task's end of an {@link AgentStream}. One consumer at a time. */
export class AgentFeed {
  #offer: Offer | undefined;
  #delivered: Offer | undefined;
  #waiting: ((result: IteratorResult<unknown>) => void) | undefined;
  #ended = false;

  /** Offers an event; resolves when it is finished, rejects when the body fails before. */
  offer(value: unknown, event: EventCell): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#offer = { value, event, resolve, reject };
      const waiting = this.#waiting;
      if (waiting === undefined) return;
      this.#waiting = undefined;
      waiting(this.#deliver());
    });
  }

  /** The body asks for the next event: the one before is finished. */
  next(): Promise<IteratorResult<unknown>> {
    this.#finish();
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    if (this.#offer !== undefined) return Promise.resolve(this.#deliver());
    if (this.#waiting !== undefined)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        'an agent asked for its next event twice at once; iterate its stream in one place only',
      );
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** No more events: the body's loop ends. */
  end(): void {
    this.#ended = true;
    this.#waiting?.({ done: true, value: undefined });
    this.#waiting = undefined;
  }

  /** The body failed: every event that is not finished fails with it. */
  fail(error: unknown): void {
    this.#ended = true;
    this.#delivered?.reject(error);
    this.#offer?.reject(error);
    this.#delivered = undefined;
    this.#offer = undefined;
  }

  /** The event that the body has. */
  get current(): { readonly value: unknown; readonly event: EventCell } | undefined {
    return this.#delivered;
  }

  #deliver(): IteratorResult<unknown> {
    const offer = this.#offer as Offer;
    this.#offer = undefined;
    this.#delivered = offer;
    return { done: false, value: offer.value };
  }

  #finish(): void {
    const delivered = this.#delivered;
    this.#delivered = undefined;
    delivered?.resolve();
  }
}

/** The body's end. `next` gives the values of this stage of the chain. */
export function agentStream<T, K>(feed: AgentFeed): AgentStream<T, K> {
  return new Stage<T, K>(feed, () => feed.next() as Promise<IteratorResult<T>>);
}

class Stage<T, K> implements AgentStream<T, K> {
  readonly #feed: AgentFeed;
  readonly #next: () => Promise<IteratorResult<T>>;

  constructor(feed: AgentFeed, next: () => Promise<IteratorResult<T>>) {
    this.#feed = feed;
    this.#next = next;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    const next = this.#next;
    const iterator: AsyncIterableIterator<T> = {
      next: () => next(),
      return: () => Promise.resolve({ done: true, value: undefined }),
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
    return this.#stage(async () => {
      for (;;) {
        const result = await this.#next();
        if (result.done === true || Boolean(await predicate(result.value))) return result;
      }
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

  items(): AgentStream<[K, T], K> {
    return this.#stage(async () => {
      const result = await this.#next();
      return result.done === true
        ? result
        : { done: false, value: [this.event?.key as K, result.value] as [K, T] };
    });
  }

  get event(): StreamEvent<T, K> | undefined {
    const current = this.#feed.current;
    return current === undefined ? undefined : streamEvent<T, K>(current.value as T, current.event);
  }

  #stage<R>(next: () => Promise<IteratorResult<R>>): AgentStream<R, K> {
    return new Stage<R, K>(this.#feed, next);
  }
}

/** An event for the program: a copy, since cells move on. */
export function streamEvent<T, K>(value: T, event: EventCell): StreamEvent<T, K> {
  return {
    value,
    key: (event.key?.key ?? null) as K,
    timestamp: event.timestamp,
    headers: event.headers ?? {},
    topic: event.topic,
    partition: event.partition,
    offset: BigInt(Math.max(0, event.offset)),
  };
}
