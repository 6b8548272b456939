/**
 * Channels: values from one part of a process to others, in memory.
 *
 * Every reader has a queue of its own and gets every value that is put while it is there. While nobody reads, values wait in the channel, and the
 * first reader gets them.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { BoundedQueue } from '../core/queue.ts';
import { isTaskScope } from '../runtime/scope.ts';
import { Feed } from '../stream/feed.ts';
import type { LiveNode } from '../stream/live-node.ts';
import type { Accepts, Receive, Scope, SinkPort } from '../stream/operator.ts';
import { Stream } from '../stream/stream.ts';

/** How a channel is declared. */
export interface ChannelOptions {
  /** How many values may wait for each reader before `put` waits, 1 to 16,777,216. Default 1,000. */
  readonly capacity?: number | undefined;
}

/**
 * A way for values within a process. Made by `app.channel`. What it holds is lost with the process: what must not be belongs in a topic.
 *
 * - *Order*: of the calls of `put`.
 * - *Back-pressure*: `put` waits while any reader has `capacity` values to take.
 * - *State*: the values that wait.
 * - *Delivery*: each value once to each reader, at most once.
 */
export class Channel<T> implements Accepts<T>, SinkPort, AsyncIterable<T> {
  declare readonly '~accepts': (value: T) => void;
  /** For pictures and errors. */
  readonly name: string = 'channel';
  readonly #capacity: number;
  readonly #clock: () => Clock;
  readonly #readers = new Set<BoundedQueue<readonly [T]>>();
  /** What was put while nobody read. */
  #kept: BoundedQueue<readonly [T]>;

  /** @internal Use `app.channel`. @throws `MR_OPTION_INVALID` */
  constructor(options: ChannelOptions, clock: () => Clock) {
    this.#capacity = options.capacity ?? 1_000;
    this.#clock = clock;
    this.#kept = this.#queue();
  }

  /**
   * Gives a value to every reader; resolves when all of them have room for it.
   *
   * @throws `MR_ABORTED` when `signal` aborts first: readers that had room have it then. `MR_OVERFLOW` (retryable) when 10,000 calls wait
   * for one reader.
   */
  async put(value: T, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    // Queues take no promises, and a value may be one.
    const boxed = [value] as const;
    const queues = this.#readers.size === 0 ? [this.#kept] : [...this.#readers];
    await Promise.all(queues.map(async (queue) => await queue.push(boxed, options.signal)));
  }

  /**
   * A reader: gets what is put from now on, until it is left. What waits for it then is dropped. When `signal` aborts, the next or pending
   * `next()` rejects with `MR_ABORTED`.
   */
  iterate(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncIterableIterator<T> {
    const boxes = this['~read']().iterate(options.signal);
    const iterator: AsyncIterableIterator<T> = {
      next: async () => {
        const result = await boxes.next();
        return result.done === true ? result : { done: false, value: result.value[0] };
      },
      return: async () => {
        await boxes.return?.();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => iterator,
    };
    return iterator;
  }

  /** {@link Channel.iterate} with its defaults: `for await (const value of channel)`. */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.iterate();
  }

  /**
   * The values as a stream of this process, which begins to read when somebody listens to it. What an operator throws ends the stream, see
   * `Stream.from`.
   */
  stream(): Stream<T> {
    const stream = new Stream<T>({ name: this.name, clock: this.#clock() });
    const node = stream['~node'] as LiveNode;
    node.feed = Feed.of(node, this);
    return stream;
  }

  /** @internal The queue of a new reader, each value in a box. The reader leaves by `detach`. */
  '~read'(): BoundedQueue<readonly [T]> {
    const queue = this.#readers.size === 0 ? this.#kept : this.#queue();
    this.#readers.add(queue);
    return queue;
  }

  #queue(): BoundedQueue<readonly [T]> {
    const queue = new BoundedQueue<readonly [T]>(this.#capacity, {
      onDetach: () => {
        this.#readers.delete(queue);
        if (this.#readers.size === 0) this.#kept = this.#queue();
      },
    });
    return queue;
  }

  /** How it takes part in a graph. Not for programs. */
  '~sink'(scope: Scope): Receive {
    const options = isTaskScope(scope) ? { signal: scope.signal } : {};
    return (value) => this.put(value as T, options);
  }
}
