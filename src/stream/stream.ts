/**
 * `Stream`: the one class for pipelines in a process and for the streams of an app's topics.
 *
 * In a process a stream is alive as soon as it is declared. The stream of a topic is a template: its operators only describe what every
 * task of the app does with values of its own, and what asks for values here and now throws `MR_TEMPLATE`.
 *
 * @module
 */
import { inspect } from 'node:util';
import type { Clock } from '../core/clock.ts';
import { systemClock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { checkFunction, kindOf } from '../core/given.ts';
import { validName } from '../core/names.ts';
import type { Awaitable, Key, KeyFields } from '../core/types.ts';
import { collect, iterate } from './branch.ts';
import { connect, disconnect } from './connect.ts';
import type { DELETE } from './delete.ts';
import { close, closeByItself, destroy, drain } from './ending.ts';
import { checkIterable, emitAll, Feed } from './feed.ts';
import type { SourceContext } from './feed.ts';
import { childNode, Node, ownNode, sourceNode, unlink } from './graph.ts';
import { all, onePerKey } from './gathering.ts';
import type { Gathering } from './gathering.ts';
import type { NodeDescription } from './graph.ts';
import { concurrencyBehind, LiveNode } from './live-node.ts';
import type { GraphNode, IterateOptions } from './node.ts';
import type { Accepts, Change, SinkTarget, TableKeyedBy } from './operator.ts';
import { accumulate } from './operators/accumulate.ts';
import { branch, predicatesOf } from './operators/branch.ts';
import { buffer } from './operators/buffer.ts';
import { collect as collectValues } from './operators/collect.ts';
import type { CacheLike, Flushing } from './operators/collect.ts';
import { combineLatest } from './operators/combine-latest.ts';
import { concat } from './operators/concat.ts';
import { debounce } from './operators/debounce.ts';
import { delay } from './operators/delay.ts';
import { distinct as distinctValues } from './operators/distinct.ts';
import { echo } from './operators/echo.ts';
import { enumerate } from './operators/enumerate.ts';
import { events } from './operators/events.ts';
import { filter } from './operators/filter.ts';
import { flatten } from './operators/flatten.ts';
import { fieldOf, groupBy } from './operators/group-by.ts';
import { items } from './operators/items.ts';
import { latest } from './operators/latest.ts';
import { map } from './operators/map.ts';
import { merge } from './operators/merge.ts';
import { onError } from './operators/on-error.ts';
import { pairwise } from './operators/pairwise.ts';
import { partition } from './operators/partition.ts';
import { pluck } from './operators/pluck.ts';
import { processors } from './operators/processors.ts';
import { rateLimit } from './operators/rate-limit.ts';
import { sink } from './operators/sink.ts';
import { slice } from './operators/slice.ts';
import { slidingWindow } from './operators/sliding-window.ts';
import { split } from './operators/split.ts';
import { starmap } from './operators/starmap.ts';
import { switchTo } from './operators/switch.ts';
import { tap } from './operators/tap.ts';
import { throttle } from './operators/throttle.ts';
import { through } from './operators/through.ts';
import { timedWindow } from './operators/timed-window.ts';
import { union } from './operators/union.ts';
import { unique } from './operators/unique.ts';
import { update } from './operators/update.ts';
import { zipLatest } from './operators/zip-latest.ts';
import { zip } from './operators/zip.ts';
import { labelOf } from './picture/label.ts';
import { visualize } from './picture/visualize.ts';
import type { Visualize, VisualizeOptions } from './picture/visualize.ts';
import { checkNames } from './option-names.ts';
import { policyOf } from './policy.ts';
import type { Failure, OnError } from './policy.ts';
import { peek, restore, snapshot } from './snapshot.ts';
import type { EventView } from './stream-event.ts';
import { synchronous } from './synchronous.ts';

/** What a stream in a process takes. */
export interface StreamOptions {
  /** For pictures and errors. */
  readonly name?: string | undefined;
  /** The time of the operators behind it: a `VirtualClock` in tests. Default: the platform's clock. */
  readonly clock?: Clock | undefined;
}

/** What `map` takes besides its function. */
export interface MapOptions {
  /** How many calls may be under way at once, from 1. Default 1. */
  readonly concurrency?: number | undefined;
  /** Whether results keep the order of the values. Default true. */
  readonly ordered?: boolean | undefined;
  /** For pictures and errors. */
  readonly name?: string | undefined;
}

/** What `accumulate` takes besides its function. */
export interface AccumulateOptions<S> {
  /**
   * The state before the first value. Plain data is copied for every key and task; an instance of a class is used as it is and should be
   * immutable.
   */
  readonly start: S;
  /** Each of its values puts the state back to the start: that of its key, or all of it if it has none. */
  readonly resetOn?: Stream<unknown, unknown> | undefined;
  /** Durable name of the state in an app. Default: the operator's. */
  readonly name?: string | undefined;
}

/** What `partition` takes besides the size of the groups. */
export interface PartitionOptions<in T> {
  /** Values of different keys are in different groups. Compared as `Map` compares. */
  readonly key?: ((value: T) => unknown) | undefined;
  /** A group goes on at the latest so long after its first value, with what there is. Default: when it is full. Not in an app. */
  readonly timeout?: Duration | undefined;
  /** Durable name of the state in an app. Default: the operator's. */
  readonly name?: string | undefined;
}

/** How values with the same key are told apart. */
export interface KeepOptions<in T> {
  /** Default: the value itself. Compared as `Map` compares: objects by identity. */
  readonly key?: ((value: T) => unknown) | undefined;
  /** Which of them counts: the first (default), or the last one, which also takes the last place. */
  readonly keep?: 'first' | 'last' | undefined;
  /** Durable name of the state in an app. Default: the operator's. */
  readonly name?: string | undefined;
}

/** What `collect` takes. */
export interface CollectOptions<T> {
  /** A collection of your own. Default: an array for each key. Only in a process. */
  readonly cache?: CacheLike<T> | undefined;
  /** Keeps the newest so many, 1 to 1,000,000. Default: all, and `MR_OVERFLOW` beyond 1,000,000. */
  readonly maxsize?: number | undefined;
  /** Each of its values flushes: what its key has on a keyed stream. */
  readonly flushOn?: Stream<unknown, unknown> | undefined;
  /** Durable name of the state in an app. Default: the operator's. */
  readonly name?: string | undefined;
}

/** What `combineLatest` takes besides the streams. */
export interface CombineOptions {
  /** Only their values cause tuples. Default: those of all. */
  readonly emitOn?: Stream<unknown, unknown> | readonly Stream<unknown, unknown>[] | undefined;
}

/** What `groupBy` takes besides the key. */
export interface GroupByOptions {
  /** Durable name of the repartition topic in an app. Default: the field. */
  readonly name?: string | undefined;
  /** Partitions of the repartition topic in an app, from 1. Default: as many as the source has. */
  readonly partitions?: number | undefined;
}

/** What `take` takes besides the size of the groups. */
export interface TakeOptions {
  /** A group goes on at the latest so long after its first value, with what there is. Default: when it is full. Not in an app. */
  readonly within?: Duration | undefined;
  /** Durable name of the state in an app. Default: the operator's. */
  readonly name?: string | undefined;
}

/** A stream of what was collected, see {@link Stream.collect}. */
export interface Collector<T, K> extends Stream<T[], K> {
  /** Sends what is held on, as an array. Returns nothing when that has been dealt with, else a promise of it. */
  readonly flush: () => void | Promise<void>;
}

/** Something whose values can be read as a stream: a topic. */
export interface Readable<out V, out K> {
  stream(): Stream<V, K>;
}

/** One stream for each type of a tuple. */
export type Streams<U extends readonly unknown[]> = { [I in keyof U]: Stream<U[I], unknown> };

/** What the values of a stream are. */
export type ValueOf<S extends Stream<unknown, unknown>> =
  S extends Stream<infer T, unknown> ? T : never;

/** The end of a pipeline. Dispose of it, or of the stream, to end it. */
export interface Sink<T> extends Disposable {
  readonly upstream: Stream<T, unknown>;
  /** Takes it off its stream. What waits in front of a busy function is dropped. Idempotent. */
  destroy(): void;
  /** {@link Stream.visualize} of its stream: they are parts of one graph. */
  readonly visualize: Visualize;
}

const passing = { role: 'operator', transparent: true, stateful: false } as const;
const changing = { role: 'operator', transparent: false, stateful: false } as const;
const remembering = { role: 'operator', transparent: false, stateful: true } as const;
/** What to do in an app instead of what goes by the clock of a process. */
const byTheClock =
  'leave it out: in an app time is that of events, and windows are tables; a timer of its own has app.timer';
const innerStreams = 'leave it out: streams of a process cannot be values of a topic';

/**
 * A stream of values of type `T`. `K` is what they are keyed by: `null` in a process and for topics without keys, until `groupBy`.
 *
 * Values go from operator to operator by plain calls. As long as no function on their way returns a promise there is none at all:
 * `emit` returns nothing. Otherwise it returns a promise of the moment when the value has been dealt with everywhere; to wait for that is
 * all there is to back-pressure. A function is called for one value at a time, so order is kept even by those who do not wait,
 * but for a value that an `onError` tries again.
 *
 * What a function throws is thrown by the `emit` that caused it, or rejects its promise. The graph goes on afterwards.
 *
 * What its operators say holds for all of them: "only in a process" means that an app with it refuses to start (`MR_TOPOLOGY_INVALID`); state is
 * one value per key on a keyed stream, else one; a duration is milliseconds or a text such as `'5s'`. What is neither, and an option that there is not, throw
 * `MR_OPTION_INVALID`. What should be a function or a stream and is none throws `MR_ARGUMENT_INVALID`, and so does an operator on the stream of an app that
 * runs; a `name` in an app that cannot be durable throws `MR_NAME_INVALID`.
 */
export class Stream<out T = unknown, out K = null> implements AsyncIterable<T> {
  /** @internal */
  readonly '~node': Node;
  readonly #live: LiveNode | undefined;

  static {
    // What console.log prints. Not a method: isolatedDeclarations has no name for it.
    Object.defineProperty(this.prototype, inspect.custom, {
      value(this: Stream): string {
        return this.toString();
      },
    });
  }

  /**
   * A source in this process: values come in by {@link Stream.emit}.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const orders = new Stream<number>({ name: 'orders' });
   * const large = orders.filter((total) => total > 100).toArray();
   * await orders.emitAll([20, 500]);
   * await orders.close();
   * await large; // => [500]
   * ```
   */
  constructor(options?: StreamOptions);
  /** @internal */
  constructor(node: Node);
  constructor(from: StreamOptions | Node = {}) {
    if (!(from instanceof Node)) checkNames('Stream', from);
    this['~node'] = from instanceof Node ? from : sourceInProcess('source', from);
    this.#live = this['~node'] instanceof LiveNode ? this['~node'] : undefined;
  }

  /**
   * A stream of the `values`, closed behind the last one. It begins when a sink, an iterator or `toArray` is there to see them:
   * whoever is declared in the same go sees all. An iterable is read no faster than its values are dealt with.
   *
   * What an operator or the iterable throws ends the stream, and rejects iterators, `toArray` and `drain`; if there are none, it is an
   * unhandled rejection.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * async function* pages() {
   *   for (let page = 1; ; page++) yield `page ${page}`; // asks a server
   * }
   * await Stream.from(pages()).slice(0, 2).toArray(); // => ['page 1', 'page 2']
   * ```
   *
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what cannot be iterated over.
   */
  static from<T>(values: Iterable<T> | AsyncIterable<T>, options: StreamOptions = {}): Stream<T> {
    checkIterable('Stream.from', values);
    checkNames('Stream.from', options);
    const node = sourceInProcess('from', options);
    node.feed = Feed.of(node, values);
    return new Stream<T>(node);
  }

  /**
   * A stream of what `run` emits. It begins when a sink, an iterator or `toArray` is there to see the values (whoever is declared in the same go
   * sees all), or by {@link Stream.start}. When `run` returns, or its promise resolves, the stream is closed. What it throws ends the stream, as of
   * {@link Stream.from}.
   *
   * `run` ends when its signal aborts: when the stream is closed or destroyed, or nobody listens any more. `close` waits for that. Give the signal to
   * what it waits for: an error that only says so (the reason of the signal, an `AbortError`) is no failure then.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const numbers = Stream.source<number>(async ({ emit, signal }) => {
   *   for (let n = 1; !signal.aborted; n++) await emit(n);
   * });
   * await numbers.slice(0, 3).toArray(); // => [1, 2, 3]
   * ```
   */
  static source<T>(
    run: (context: SourceContext<T>) => unknown,
    options: StreamOptions = {},
  ): Stream<T> {
    checkFunction('Stream.source', run);
    checkNames('Stream.source', options);
    const node = sourceInProcess('source', options);
    node.feed = new Feed(
      node,
      async (context) => {
        await run(context);
      },
      { endless: true },
    );
    return new Stream<T>(node);
  }

  /**
   * The values of several streams as they come: `union` without a first among equals. Without streams: an empty one. A stream that is given twice
   * counts once.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const [hall, garden] = [new Stream<string>(), new Stream<string>()];
   * const heard = Stream.merge(hall, garden).toArray();
   * await garden.emit('gate');
   * await hall.emit('door');
   * await Promise.all([hall.close(), garden.close()]);
   * await heard; // => ['gate', 'door']
   * ```
   *
   * @throws {@link MillraceError} `MR_TEMPLATE` when some belong to an app and some to the process.
   */
  static merge<U extends readonly unknown[]>(...streams: Streams<U>): Stream<U[number]> {
    if (streams.length === 0) return Stream.from<U[number]>([]);
    return derive<U[number], null>(distinct(streams), {
      kind: 'union',
      role: passing,
      make: union(),
    });
  }

  /**
   * The name it was given, else the kind of its operator.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const orders = new Stream<number>({ name: 'orders' });
   * orders.name; // => 'orders'
   * orders.filter((total) => total > 100).name; // => 'filter'
   * ```
   */
  get name(): string {
    return this['~node'].name ?? this['~node'].kind;
  }

  /**
   * Sends a value to everything declared on this stream; on a stream behind an operator, past that operator. Returns nothing when it has
   * been dealt with already, else a promise of that. `await` takes both.
   *
   * Do not wait for it in a function of the same graph: that would wait for itself. {@link Stream.connect} closes cycles.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const stored: number[] = [];
   * const readings = new Stream<number>();
   * readings.map(async (celsius) => celsius + 273).sink((kelvin) => stored.push(kelvin));
   * await readings.emit(20);
   * stored; // => [293]
   * ```
   *
   * @throws what functions throw, see {@link Stream}. What has failed behind a `buffer`, or in a group that `take` sent by the clock, since
   * somebody was told last; this value has been taken then all the same. {@link MillraceError} `MR_CLOSED` after `close` and `destroy`; `MR_OVERFLOW`
   * (retryable) when 10,000 values wait in front of one operator, because `emit` was not awaited; `MR_TEMPLATE` on the stream of a
   * topic.
   */
  emit(value: T): void | Promise<void> {
    const live = this.#live;
    if (live === undefined) throw this.#template('emit', 'send to the topic with topic.send');
    return live.emit(value);
  }

  /**
   * Emits all values, each when the one before it has been dealt with; behind a `map` with `concurrency`, as many at once as that says. The
   * first error ends it. Rejects as {@link Stream.emit} throws, and with `MR_ARGUMENT_INVALID` for what cannot be iterated over.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * let sum = 0;
   * const amounts = new Stream<number>();
   * amounts.sink((amount) => (sum += amount));
   * await amounts.emitAll([20, 22]);
   * sum; // => 42
   * ```
   */
  async emitAll(values: Iterable<T> | AsyncIterable<T>): Promise<void> {
    const live = this.#mustLive('emitAll', 'send to the topic with topic.send');
    checkIterable('emitAll', values);
    await emitAll(live, values);
  }

  /**
   * Begins a stream with values of its own ({@link Stream.source}, {@link Stream.from}, or one of the connectors) without waiting for a listener.
   * Resolves when it is open: it listens on its port, is connected. Resolves at once on other streams.
   *
   * Rejects with what has ended it before it was open, and with `MR_TEMPLATE` on the stream of a topic.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * let connected = false;
   * const socket = Stream.source<string>(({ opened }) => {
   *   connected = true;
   *   opened();
   * });
   * await socket.start();
   * connected; // => true
   * ```
   */
  async start(): Promise<void> {
    const { feed } = this.#mustLive('start', 'start the app');
    feed?.start();
    await feed?.opened();
  }

  /**
   * {@link Stream.iterate} with its defaults.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const lines: string[] = [];
   * for await (const line of Stream.from(['first', 'second'])) lines.push(line);
   * lines; // => ['first', 'second']
   * ```
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<T> {
    return this.iterate();
  }

  /**
   * An iterator over the values from now on. Each is a branch of its own with a queue of its own, connected at the first `next()` and
   * disconnected by `break`. It ends when the stream does.
   *
   * While `capacity` values (default 1,000) have not been taken, `emit` waits. When `signal` aborts, the next or pending `next()` rejects
   * with `MR_ABORTED`.
   *
   * The stream of a topic is iterated apart from the tasks of the app, as in an `app.task`: by a group of its own, named after the topic or by
   * `group`, which begins where the app's option `startFrom` says and goes on behind what was finished. A value is finished when the loop asks
   * for the next one. Loops of several processes share the partitions. There is no end but `break` and `signal`. In the order of each partition, at
   * least once: the value that a loop has when it is left comes again. Tables can be queried in the loop, not written.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const found: number[] = [];
   * for await (const n of Stream.from([1, 4, 9, 16]).iterate({ capacity: 10 })) {
   *   found.push(n);
   *   if (n > 5) break;
   * }
   * found; // => [1, 4, 9]
   * ```
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a capacity that is not an integer from 1, or an option that the stream cannot have;
   * `MR_TEMPLATE` behind operators on a topic, for which there are agents. The rest rejects `next()`: `MR_NAME_TAKEN` when the process iterates as
   * that group already, and what makes workers fail.
   */
  iterate(options: IterateOptions = {}): AsyncIterableIterator<T> {
    checkNames('iterate', options);
    const { capacity, signal, group } = options;
    if (this.#live === undefined && capacity === undefined) {
      const { role } = this['~node'];
      const source = role.role === 'source' ? role.source : null;
      if (source?.iterate !== undefined) return source.iterate(options) as AsyncIterableIterator<T>;
    }
    const live = this.#mustLive(
      'iterate',
      "iterate the topic's own stream, without capacity, or declare a sink or an agent on it",
    );
    if (group !== undefined)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `iterate was given the group ${JSON.stringify(group)}, but ${this.toString()} is a stream of this process and has no position to keep; leave it out`,
        { details: { option: 'group', value: group } },
      );
    return iterate(live, capacity ?? 1_000, signal) as AsyncIterableIterator<T>;
  }

  /**
   * Replaces each value by what `fn` makes of it, awaited. One call at a time; only in a process up to `concurrency`, with results in order unless
   * `ordered` is false. See `operators/map.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a concurrency that is not an integer from 1.
   */
  map<R>(fn: (value: T) => R, options: MapOptions = {}): Stream<Awaited<R>, K> {
    checkNames('map', options);
    return this.#derive<Awaited<R>>({
      kind: 'map',
      name: options.name,
      label: labelOf(fn),
      role: changing,
      make: map(fn as (value: unknown) => R, options),
      concurrency: options.concurrency,
    });
  }

  /**
   * {@link Stream.map} for tuples: calls `fn` with the elements of each value as its arguments, and passes on what it returns, awaited. See
   * `operators/starmap.ts`.
   */
  starmap<A extends readonly unknown[], R>(
    this: Stream<A, K>,
    fn: (...args: A) => R,
  ): Stream<Awaited<R>, K> {
    return derive<Awaited<R>, K>([this], {
      kind: 'starmap',
      label: labelOf(fn),
      role: changing,
      make: starmap(fn as unknown as (...args: unknown[]) => R),
    });
  }

  /**
   * Passes on the values for which `predicate` gives something true, now or later. A type guard narrows the type. See `operators/filter.ts`.
   */
  filter<S extends T>(predicate: (value: T) => value is S): Stream<S, K>;
  filter(predicate: (value: T) => unknown): Stream<T, K>;
  filter(predicate: (value: T) => unknown): Stream<T, K> {
    return this.#derive<T>({
      kind: 'filter',
      label: labelOf(predicate),
      role: passing,
      make: filter(predicate as (value: unknown) => unknown),
    });
  }

  /**
   * Passes on the elements of each value (iterable or async iterable), one level deep. Other values fail with `MR_ARGUMENT_INVALID`. See
   * `operators/flatten.ts`.
   */
  flatten<U>(this: Stream<Iterable<U> | AsyncIterable<U>, K>): Stream<U, K> {
    return derive<U, K>([this], { kind: 'flatten', role: changing, make: flatten() });
  }

  /**
   * Passes on some fields of each value, as a tuple, or one. A field that is not there gives `undefined`; `null` and `undefined` fail with
   * `MR_ARGUMENT_INVALID`. See `operators/pluck.ts`.
   */
  pluck<const F extends readonly (keyof T)[]>(
    fields: F,
  ): Stream<{ -readonly [I in keyof F]: T[F[I]] }, K>;
  pluck<F extends keyof T>(field: F): Stream<T[F], K>;
  pluck(fields: PropertyKey | readonly PropertyKey[]): Stream<unknown, K> {
    return this.#derive({
      kind: 'pluck',
      label: labelOf(...[fields].flat()),
      role: changing,
      make: pluck(fields),
    });
  }

  /**
   * Calls `fn` with each value, waits for it, and passes the value on as it came, unless `fn` throws. In an app it is called before the commit, at least
   * once. See `operators/tap.ts`.
   */
  tap(fn: (value: T) => unknown): Stream<T, K> {
    return this.#derive<T>({
      kind: 'tap',
      label: labelOf(fn),
      role: passing,
      make: tap(fn as (value: unknown) => unknown),
    });
  }

  /**
   * Passes each value through functions, one after the other, each awaited; they keep its type. See `operators/processors.ts`.
   */
  processors(...fns: ((value: T) => Awaitable<T>)[]): Stream<T, K> {
    return this.#derive<T>({
      kind: 'processors',
      label: labelOf(...fns),
      role: changing,
      make: processors(fns as ((value: unknown) => unknown)[]),
    });
  }

  /**
   * Sends each value to topics, agents and channels as well, and passes it on as it came; in an app, with the task's commit. See `operators/echo.ts`.
   *
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` without targets, and for other ones: to call a function is {@link Stream.tap}.
   */
  echo(...targets: Accepts<T>[]): Stream<T, K> {
    return this.#derive<T>({
      kind: 'echo',
      label: labelOf(...targets),
      role: passing,
      make: echo(targets),
    });
  }

  /**
   * Sends each value to a topic of the same app, and goes on from there: what follows reads the topic, in tasks of its own, and sees what others
   * send to it too. See `operators/through.ts`.
   *
   * @throws {@link MillraceError} `MR_NOT_IN_AN_APP` on a stream in a process, or of another app than the topic's; `MR_ARGUMENT_INVALID` for
   * what is no topic, and while the app runs.
   */
  through<V, K2>(topic: Accepts<T> & Readable<V, K2>): Stream<V, K2> {
    const source = through(topic, this['~node']);
    this.#derive({
      kind: 'through',
      label: labelOf(topic),
      role: { role: 'sink', target: topic },
      make: sink(topic),
    });
    return templateStream<V, K2>(source);
  }

  /**
   * Puts a number in front of each value, from `start` (default 0), per key on a keyed stream: `[0, a]`, `[1, b]`, … See `operators/enumerate.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a start that is not an integer.
   */
  enumerate(start = 0): Stream<[number, T], K> {
    return this.#derive<[number, T]>({
      kind: 'enumerate',
      role: remembering,
      make: enumerate(start),
    });
  }

  /**
   * Folds values into a state, one per key on a keyed stream, and passes on every new one. Without `start` the first value is the first
   * state. With `returnsState` the function returns `[state, output]`; with `withState` pairs of state and result go on. The function is
   * synchronous. See `operators/accumulate.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a start that is a function, or plain data that holds one or a symbol.
   */
  accumulate(fn: (state: T, value: T) => T): Stream<T, K>;
  accumulate<S, O>(
    fn: (state: S, value: T) => readonly [state: S, output: O],
    options: AccumulateOptions<S> & { returnsState: true; withState: true },
  ): Stream<[S, O], K>;
  accumulate<S, O>(
    fn: (state: S, value: T) => readonly [state: S, output: O],
    options: AccumulateOptions<S> & { returnsState: true },
  ): Stream<O, K>;
  accumulate<S>(
    fn: (state: S, value: T) => S,
    options: AccumulateOptions<S> & { withState: true },
  ): Stream<[S, S], K>;
  accumulate<S>(fn: (state: S, value: T) => S, options: AccumulateOptions<S>): Stream<S, K>;
  accumulate<S>(
    fn: (state: S, value: T) => unknown,
    options: Partial<AccumulateOptions<S>> & {
      readonly returnsState?: boolean;
      readonly withState?: boolean;
    } = {},
  ): Stream<unknown, K> {
    checkNames('accumulate', options);
    const { returnsState = false, withState = false, resetOn, name } = options;
    return derive<unknown, K>(resetOn === undefined ? [this] : [this, resetOn], {
      kind: 'accumulate',
      name,
      label: labelOf(fn),
      role: remembering,
      make: accumulate(
        fn as (state: unknown, value: unknown) => unknown,
        Object.hasOwn(options, 'start') ? { value: options.start } : undefined,
        returnsState ? (withState ? 'both' : 'returnsState') : withState ? 'withState' : 'state',
        resetOn !== undefined,
      ),
    });
  }

  /**
   * `map` with a state: `fn` returns `[state, output]`, at once, and the output goes on. The state is per key on a keyed stream, `start` at first. See
   * `operators/accumulate.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` as of {@link Stream.accumulate}.
   */
  mapState<S, O>(
    start: S,
    fn: (state: S, value: T) => readonly [state: S, output: O],
    options: { readonly name?: string | undefined } = {},
  ): Stream<O, K> {
    checkNames('mapState', options);
    return this.#derive<O>({
      kind: 'mapState',
      name: options.name,
      label: labelOf(fn),
      role: remembering,
      make: accumulate(
        fn as (state: unknown, value: unknown) => unknown,
        { value: start },
        'returnsState',
      ),
    });
  }

  /**
   * Deals with what fails behind it: `'skip'`, `retry({ times })`, `deadLetter(topic)`, or some of them joined by `orElse`. In an app everything
   * that the value has changed behind it is taken back first, and the policy nearest to a failure decides. A record that cannot be decoded is
   * dealt with by the policy that stands first behind its topic. See `operators/on-error.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for what is no policy.
   */
  onError(policy: OnError): Stream<T, K> {
    const checked = policyOf(policy, 'the policy of onError');
    return this.#derive<T>({
      kind: 'onError',
      role: { role: 'operator', transparent: true, stateful: false, policy: checked },
      make: onError(checked),
    });
  }

  /**
   * The values of this stream that fail behind it, with their error and the name of the operator that threw it: on one behind {@link Stream.onError}, those
   * that its policy gives up. It changes nothing about what becomes of them, but that their `emit` waits for it. Of what fails behind a `buffer` and the
   * like, after its `emit` was answered, it knows nothing: put it behind.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const lines = new Stream<string>();
   * const checked = lines.onError('skip');
   * const failed = checked.errors.pluck(['value', 'node']).toArray();
   * checked.map((line): unknown => JSON.parse(line)).sink(() => undefined);
   * await lines.emitAll(['{}', 'oops']);
   * await lines.close();
   * await failed; // => [['oops', 'map']]
   * ```
   *
   * @throws {@link MillraceError} `MR_TEMPLATE` on the stream of a topic: there failures go to a topic, see `deadLetter`.
   */
  get errors(): Stream<Failure<T>> {
    const live = this.#mustLive('errors', "use onError(deadLetter('topic'))");
    return new Stream<Failure<T>>(live.errors);
  }

  /**
   * Groups of `count` values, as arrays; with `within`, at the latest so long after the first value of a group. One group at a time per key on a
   * keyed stream. `close` sends what is left. See `operators/partition.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a count that is not an integer from 1 to 1,000,000.
   */
  take(count: number, options: TakeOptions = {}): Stream<T[], K> {
    checkNames('take', options);
    const { within, name } = options;
    return this.#derive<T[]>({
      kind: 'take',
      name,
      label: labelOf(count),
      role: timed(remembering, within, 'leave within out, or take in an agent: stream.take(…)'),
      make: partition('take', count, all, { timeout: within }),
    });
  }

  /**
   * Groups of `count` values, as arrays; one at a time, or one per `key`. With `timeout`, at the latest so long after the first value of a group. `close`
   * sends what is left. See `operators/partition.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a count that is not an integer from 1 to 1,000,000.
   */
  partition(count: number, options: PartitionOptions<T> = {}): Stream<T[], K> {
    checkNames('partition', options);
    const { key, timeout, name } = options;
    return this.#derive<T[]>({
      kind: 'partition',
      name,
      label: labelOf(count),
      role: timed(remembering, timeout, 'leave timeout out, or take in an agent: stream.take(…)'),
      make: partition('partition', count, all, {
        groupOf: key as ((value: unknown) => unknown) | undefined,
        timeout,
      }),
    });
  }

  /**
   * Groups of `count` values with different keys (default: the value), as arrays; of values with one key the first (default) or the last counts. `close` sends
   * what is left. See `operators/partition.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a count that is not an integer from 1 to 1,000,000, and a `keep` that is neither.
   */
  partitionUnique(count: number, options: KeepOptions<T> = {}): Stream<T[], K> {
    checkNames('partitionUnique', options);
    return this.#derive<T[]>({
      kind: 'partitionUnique',
      name: options.name,
      label: labelOf(count),
      role: remembering,
      make: partition('partitionUnique', count, gatheringOf(options)),
    });
  }

  /**
   * With each value the last `size` ones, oldest first, as an array; fewer at the beginning, or none with `returnPartial: false` (default true). See
   * `operators/sliding-window.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a size that is not an integer from 1 to 1,000,000.
   */
  slidingWindow(
    size: number,
    options: {
      readonly returnPartial?: boolean | undefined;
      readonly name?: string | undefined;
    } = {},
  ): Stream<T[], K> {
    checkNames('slidingWindow', options);
    return this.#derive<T[]>({
      kind: 'slidingWindow',
      name: options.name,
      label: labelOf(size),
      role: remembering,
      make: slidingWindow(size, options.returnPartial ?? true),
    });
  }

  /**
   * What has come in each `interval` (at least 1 ms), as an array, also when nothing has; the first one goes on at once. `close` sends what is left;
   * more than 1,000,000 values in open windows are `MR_OVERFLOW`. Only in a process. See `operators/timed-window.ts`.
   */
  timedWindow(interval: Duration): Stream<T[], K> {
    return this.#derive<T[]>({
      kind: 'timedWindow',
      label: labelOf(interval),
      role: { ...remembering, holds: byTheClock },
      make: timedWindow(interval, all),
    });
  }

  /**
   * {@link Stream.timedWindow} with one value per key (default: the value), of which the first (default) or the last counts. Only in a process. See
   * `operators/timed-window.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a `keep` that is neither.
   */
  timedWindowUnique(
    interval: Duration,
    options: Omit<KeepOptions<T>, 'name'> = {},
  ): Stream<T[], K> {
    checkNames('timedWindowUnique', options);
    return this.#derive<T[]>({
      kind: 'timedWindowUnique',
      label: labelOf(interval),
      role: { ...remembering, holds: byTheClock },
      make: timedWindow(interval, gatheringOf(options)),
    });
  }

  /**
   * Holds values until `flush` is called, or `flushOn` has a value; then they go on as an array, on a keyed stream one per key. `close` sends what is left.
   * See `operators/collect.ts`.
   *
   * `flush` is bound, so that `other.sink(collected.flush)` works. On the stream of a topic it throws `MR_TEMPLATE`; there `flushOn` is needed.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const rows = new Stream<string>();
   * const waiting = rows.collect();
   * const batches = waiting.toArray();
   * await rows.emitAll(['a', 'b']);
   * await waiting.flush();
   * await rows.emit('c');
   * await rows.close();
   * await batches; // => [['a', 'b'], ['c']]
   * ```
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a maxsize that is not an integer from 1 to 1,000,000, or beside a cache, and for a cache that
   * cannot be pushed to and iterated.
   */
  collect(options: CollectOptions<T> = {}): Collector<T, K> {
    checkNames('collect', options);
    const { cache, maxsize, flushOn, name } = options;
    const flushing: Flushing = { flush: undefined };
    const role =
      flushOn === undefined || cache !== undefined
        ? {
            ...remembering,
            holds:
              'give it flushOn, a stream of the app, and no cache; or keep what a key has so far in a table',
          }
        : remembering;
    const collected = derive<T[], K>(flushOn === undefined ? [this] : [this, flushOn], {
      kind: 'collect',
      name,
      role,
      make: collectValues(cache, maxsize, flushOn !== undefined, flushing),
    });
    const flush = (): void | Promise<void> => {
      if (flushing.flush === undefined)
        throw collected.#template('flush', 'give collect a flushOn, a stream of the app');
      return flushing.flush();
    };
    return Object.assign(collected, { flush });
  }

  /**
   * Passes on values by their number, from 0: from `start` on, before `end` (default: all), every `step`th (default 1). In a process a stream without keys
   * ends at `end`. See `operators/slice.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a start or end that is not an integer from 0, and a step that is not one from 1.
   */
  slice(start: number, end?: number, step = 1): Stream<T, K> {
    const sliced: Stream<T, K> = this.#derive<T>({
      kind: 'slice',
      endsByItself: true,
      label: labelOf(start, end),
      role: { ...passing, stateful: true },
      make: slice(start, end, step, () => endByItself(sliced)),
    });
    return sliced;
  }

  /**
   * Each value with the one before it, from the second on: `[previous, value]`, per key on a keyed stream. See `operators/pairwise.ts`.
   */
  pairwise(): Stream<[T, T], K> {
    return this.#derive<[T, T]>({ kind: 'pairwise', role: remembering, make: pairwise() });
  }

  /**
   * Passes on values whose key (default: the value) was not among the last `maxsize` different ones (default 100,000, in an app 1,000). Objects are compared
   * by identity. See `operators/unique.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a maxsize that is not an integer from 1 to 16,777,215.
   */
  unique(
    options: {
      readonly maxsize?: number | undefined;
      readonly key?: ((value: T) => unknown) | undefined;
      readonly name?: string | undefined;
    } = {},
  ): Stream<T, K> {
    checkNames('unique', options);
    return this.#derive<T>({
      kind: 'unique',
      name: options.name,
      label: labelOf(options.key),
      role: { ...passing, stateful: true },
      make: unique(options.key as ((value: unknown) => unknown) | undefined, options.maxsize),
    });
  }

  /**
   * Leaves out values that are the same as the one before, by `key` or by themselves. Objects are compared by identity. See `operators/distinct.ts`.
   */
  distinct(
    options: {
      readonly key?: ((value: T) => unknown) | undefined;
      readonly name?: string | undefined;
    } = {},
  ): Stream<T, K> {
    checkNames('distinct', options);
    return this.#derive<T>({
      kind: 'distinct',
      name: options.name,
      label: labelOf(options.key),
      role: { ...passing, stateful: true },
      make: distinctValues(options.key as ((value: unknown) => unknown) | undefined),
    });
  }

  /**
   * Sends each value on so long after it came. While `capacity` (default 10,000) are held, `emit` waits. `close` waits until they are through. Only in a
   * process. See `operators/delay.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a capacity that is not an integer from 1 to 16,777,216.
   */
  delay(by: Duration, options: { readonly capacity?: number | undefined } = {}): Stream<T, K> {
    checkNames('delay', options);
    return this.#derive<T>({
      kind: 'delay',
      label: labelOf(by),
      role: { ...passing, holds: byTheClock },
      make: delay(by, options.capacity ?? 10_000),
    });
  }

  /**
   * Lets values on at least `interval` apart and leaves none out; `emit` waits for its turn. See `operators/rate-limit.ts`.
   */
  rateLimit(interval: Duration): Stream<T, K> {
    return this.#derive<T>({
      kind: 'rateLimit',
      label: labelOf(interval),
      role: passing,
      make: rateLimit(interval),
    });
  }

  /**
   * Passes on a value when no other has come for `quiet`, and leaves out the rest; per key on a keyed stream. `close` sends what waits. Only in a process. See
   * `operators/debounce.ts`.
   */
  debounce(quiet: Duration): Stream<T, K> {
    return this.#derive<T>({
      kind: 'debounce',
      label: labelOf(quiet),
      role: { ...passing, holds: byTheClock },
      make: debounce(quiet),
    });
  }

  /**
   * Passes on a value and leaves out those within `interval` of it, per key on a keyed stream; with `trailing` (default false), not in an app, the last of
   * them goes on when the interval is over. See `operators/throttle.ts`.
   */
  throttle(
    interval: Duration,
    options: { readonly trailing?: boolean | undefined } = {},
  ): Stream<T, K> {
    checkNames('throttle', options);
    const { trailing = false } = options;
    return this.#derive<T>({
      kind: 'throttle',
      label: labelOf(interval),
      role: {
        ...passing,
        stateful: true,
        ...(trailing ? { holds: 'leave trailing out' } : {}),
      },
      make: throttle(interval, trailing),
    });
  }

  /**
   * The newest value whenever what is behind is ready for one; the last is never lost. `emit` does not wait. Only in a process. See `operators/latest.ts`.
   */
  latest(): Stream<T, K> {
    return this.#derive<T>({
      kind: 'latest',
      role: {
        ...passing,
        holds:
          'leave it out: a task reads no faster than it works, and a table has the newest row of each key',
      },
      make: latest(),
    });
  }

  /**
   * Lets the emitter run ahead of what follows by up to `capacity` values, then `emit` waits. What fails behind it is told by the next `emit`, `drain` or
   * `close`. Only in a process. See `operators/buffer.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a capacity that is not an integer from 1 to 16,777,216.
   */
  buffer(capacity: number): Stream<T, K> {
    const behind = (): number => {
      const node = buffered['~node'];
      return node instanceof LiveNode ? concurrencyBehind(node) : 1;
    };
    const buffered: Stream<T, K> = this.#derive<T>({
      kind: 'buffer',
      label: labelOf(capacity),
      role: {
        ...passing,
        holds:
          'leave it out: the topics of an app are its buffers, and a task reads no faster than it works',
      },
      make: buffer(capacity, behind),
    });
    return buffered;
  }

  /**
   * The values of this stream and of others as they come. A stream that is given twice counts once. See `operators/union.ts`.
   *
   * @throws {@link MillraceError} `MR_TEMPLATE` when some belong to an app and some to the process.
   */
  union<U extends readonly unknown[]>(...others: Streams<U>): Stream<T | U[number], K> {
    return derive<T | U[number], K>(distinct([this, ...others]), {
      kind: 'union',
      role: passing,
      make: union(),
    });
  }

  /**
   * Tuples of one value of each stream: the first ones, the second ones, … While an input holds `maxsize` values (default 10), its `emit` waits; in an app
   * one more is `MR_OVERFLOW`. `close` drops what has no partner. See `operators/zip.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a maxsize that is not an integer from 1 to 16,777,216; `MR_ARGUMENT_INVALID` for what is no stream;
   * `MR_TEMPLATE` when some belong to an app and some to the process.
   */
  zip<U extends readonly unknown[]>(...others: Streams<U>): Stream<[T, ...U], K>;
  zip<U extends readonly unknown[]>(
    others: readonly [...Streams<U>],
    options: { readonly maxsize?: number | undefined },
  ): Stream<[T, ...U], K>;
  zip(...given: unknown[]): Stream<unknown, K> {
    const { streams, options } = joined('zip', this, given);
    const zipped: Stream<unknown, K> = derive<unknown, K>(streams, {
      kind: 'zip',
      endsByItself: true,
      role: remembering,
      make: zip(streams.length, (options as { maxsize?: number }).maxsize ?? 10, () =>
        endByItself(zipped),
      ),
    });
    return zipped;
  }

  /**
   * Each value of this stream once, with the newest of each of the others. Up to 10,000 of them wait until all others have been seen, then `emit` does; in an
   * app one more is `MR_OVERFLOW`. See `operators/zip-latest.ts`.
   *
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no stream; `MR_TEMPLATE` when some belong to an app and some to the process.
   */
  zipLatest<U extends readonly unknown[]>(...others: Streams<U>): Stream<[T, ...U], K> {
    const streams = [this, ...others];
    return derive<[T, ...U], K>(streams, {
      kind: 'zipLatest',
      role: remembering,
      make: zipLatest(streams.length),
    });
  }

  /**
   * The newest value of each stream, as a tuple, whenever one comes: of any stream, or of those of `emitOn`. From when all have been seen. See
   * `operators/combine-latest.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for an `emitOn` that is none of the streams; `MR_ARGUMENT_INVALID` for what is no stream;
   * `MR_TEMPLATE` when some belong to an app and some to the process.
   */
  combineLatest<U extends readonly unknown[]>(...others: Streams<U>): Stream<[T, ...U], K>;
  combineLatest<U extends readonly unknown[]>(
    others: readonly [...Streams<U>],
    options: CombineOptions,
  ): Stream<[T, ...U], K>;
  combineLatest(...given: unknown[]): Stream<unknown, K> {
    const { streams, options } = joined('combineLatest', this, given);
    return derive<unknown, K>(streams, {
      kind: 'combineLatest',
      role: remembering,
      make: combineLatest(streams.length, placesOf((options as CombineOptions).emitOn, streams)),
    });
  }

  /**
   * The values of the newest stream among the values; the one before it is let go of. Values that are no streams of this process fail with
   * `MR_ARGUMENT_INVALID`. Only in a process. See `operators/switch.ts`.
   */
  switch<S extends Stream<unknown, unknown>>(this: Stream<S, K>): Stream<ValueOf<S>> {
    return derive<ValueOf<S>, null>([this], {
      kind: 'switch',
      role: { ...changing, holds: innerStreams },
      make: switchTo(),
    });
  }

  /**
   * The values of streams that are values, one stream after the other; up to 10,000 wait for their turn. Values that are no streams of this process fail with
   * `MR_ARGUMENT_INVALID`. Only in a process. See `operators/concat.ts`.
   */
  concat<S extends Stream<unknown, unknown>>(this: Stream<S, K>): Stream<ValueOf<S>> {
    return derive<ValueOf<S>, null>([this], {
      kind: 'concat',
      role: { ...changing, holds: innerStreams },
      make: concat(),
    });
  }

  /**
   * The values of streams that are values, of up to `concurrency` (default 1,000) at once; for the next one `emit` waits until one of them has ended. Values
   * that are no streams of this process fail with `MR_ARGUMENT_INVALID`. Only in a process. See `operators/merge.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a concurrency that is not an integer from 1.
   */
  merge<S extends Stream<unknown, unknown>>(
    this: Stream<S, K>,
    options: { readonly concurrency?: number | undefined } = {},
  ): Stream<ValueOf<S>> {
    checkNames('merge', options);
    return derive<ValueOf<S>, null>([this], {
      kind: 'merge',
      role: { ...changing, holds: innerStreams },
      make: merge(options.concurrency ?? 1_000),
    });
  }

  /**
   * A stream for each key, up to `maxKeys` (default 10,000), then `MR_OVERFLOW`: a pair of key and stream at its first value, and the values of the key in
   * that stream. Only in a process; to keep state per key is {@link Stream.groupBy}. See `operators/split.ts`.
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a maxKeys that is not an integer from 1.
   */
  split<S>(
    key: (value: T) => S,
    options: { readonly maxKeys?: number | undefined } = {},
  ): Stream<readonly [S, Stream<T, K>], K> {
    checkNames('split', options);
    const live = this.#live;
    return this.#derive<readonly [S, Stream<T, K>]>({
      kind: 'split',
      label: labelOf(key),
      role: { ...changing, holds: 'use groupBy, behind which state is kept per key' },
      make: split(key as (value: unknown) => unknown, options.maxKeys ?? 10_000, (id) => {
        const node = sourceInProcess('split', { name: String(id), clock: live?.clock });
        return { node, stream: new Stream<T, K>(node) };
      }),
    });
  }

  /**
   * A stream for each predicate, by name: of the values for which it is the first to give something true; `rest` has the others. Predicates are synchronous. See
   * `operators/branch.ts`.
   *
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no object of functions, and a predicate named `rest`.
   */
  branch<B extends Readonly<Record<string, (value: T) => unknown>>>(
    branches: B,
  ): { [N in keyof B | 'rest']: Stream<T, K> } {
    const predicates = predicatesOf(branches);
    const functions = predicates.map(([, predicate]) => predicate);
    const one = (name: string, i: number): [string, Stream<T, K>] => [
      name,
      this.#derive<T>({
        kind: 'branch',
        name,
        role: passing,
        make: branch(functions.slice(0, i), functions[i]),
      }),
    ];
    return Object.fromEntries([
      ...predicates.map(([name], i) => one(name, i)),
      one('rest', functions.length),
    ]) as { [N in keyof B | 'rest']: Stream<T, K> };
  }

  /**
   * What functions make of this stream, one after the other: a place in the chain for operators of your own, which are functions from a stream to a stream
   * or to anything else. Types are inferred through up to six of them.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const words = (lines: Stream<string>) => lines.map((line) => line.split(' ')).flatten();
   * const longer = (than: number) => (all: Stream<string>) => all.filter((w) => w.length > than);
   * await Stream.from(['to be or not']).pipe(words, longer(2)).toArray(); // => ['not']
   * ```
   */
  pipe<A>(first: (stream: this) => A): A;
  pipe<A, B>(first: (stream: this) => A, second: (a: A) => B): B;
  pipe<A, B, C>(first: (stream: this) => A, second: (a: A) => B, third: (b: B) => C): C;
  pipe<A, B, C, D>(
    first: (stream: this) => A,
    second: (a: A) => B,
    third: (b: B) => C,
    fourth: (c: C) => D,
  ): D;
  pipe<A, B, C, D, E>(
    first: (stream: this) => A,
    second: (a: A) => B,
    third: (b: B) => C,
    fourth: (c: C) => D,
    fifth: (d: D) => E,
  ): E;
  pipe<A, B, C, D, E, F>(
    first: (stream: this) => A,
    second: (a: A) => B,
    third: (b: B) => C,
    fourth: (c: C) => D,
    fifth: (d: D) => E,
    sixth: (e: E) => F,
  ): F;
  pipe(...operators: ((from: never) => unknown)[]): unknown {
    let result: unknown = this;
    for (const operator of operators) {
      checkFunction('pipe', operator);
      result = operator(result as never);
    }
    return result;
  }

  /**
   * Ends the chain: calls functions with each value, or sends it to topics, agents and channels, in the order given; `emit` waits for them. In an app
   * functions are called before the commit, at least once. See `operators/sink.ts`.
   *
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` without targets, and for other ones.
   */
  sink(...targets: SinkTarget<T>[]): Sink<T> {
    if (targets.length === 0)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        'sink was called without a target; give a function, a topic, an agent or a channel',
      );
    const makers = targets.map((target) => ({ target, make: sink(target) }));
    const ends = makers.map(({ target, make }) =>
      this.#derive({ kind: 'sink', label: labelOf(target), role: { role: 'sink', target }, make }),
    );
    const end = (): void => {
      for (const each of ends) each.destroy();
    };
    return {
      upstream: this,
      destroy: end,
      visualize: ((drawn?: VisualizeOptions) => this.visualize(drawn ?? {})) as Visualize,
      [Symbol.dispose]: end,
    };
  }

  /**
   * All values from now until the stream is closed, in memory. Rejects with `MR_CLOSED` when the stream is destroyed first, with
   * `MR_TEMPLATE` on the stream of a topic, and with what ends a {@link Stream.from} or {@link Stream.source} in front.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * await Stream.from(['b', 'a']).toArray(); // => ['b', 'a']
   * ```
   */
  async toArray(): Promise<T[]> {
    const live = this.#mustLive('toArray', 'declare a sink or an agent on it to see its values');
    return (await collect(live)) as T[];
  }

  /**
   * Gives each value a key: a field's value, or what a function makes of it. Operators behind it keep their state per key. In an app the
   * values go through a repartition topic, named after the field or by `name`, so that equal keys meet in one task. A value without a key fails with
   * `MR_KEY_MISSING`. See `operators/group-by.ts`.
   *
   * @throws {@link MillraceError} `MR_NAME_MISSING` on a topic's stream for a function without `name`; `MR_NAME_INVALID`; `MR_OPTION_INVALID` for
   * partitions that are not an integer from 1.
   */
  groupBy<F extends keyof KeyFields<T>>(
    field: F,
    options?: GroupByOptions,
  ): Stream<T, KeyFields<T>[F]>;
  groupBy<R extends Key>(
    key: (value: T) => R,
    options: GroupByOptions & { readonly name: string },
  ): Stream<T, R>;
  groupBy(
    by: PropertyKey | ((value: T) => unknown),
    options: GroupByOptions = {},
  ): Stream<T, unknown> {
    if (!['function', 'string', 'number', 'symbol'].includes(typeof by))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `groupBy was given ${kindOf(by)}; give the name of a field, or a function and a name: groupBy(fn, { name: 'by-country' })`,
      );
    checkNames('groupBy', options);
    const { name = typeof by === 'function' ? undefined : String(by), partitions } = options;
    if (partitions !== undefined && (!Number.isInteger(partitions) || partitions < 1))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `partitions is ${String(partitions)}; give an integer from 1`,
        { details: { option: 'partitions', value: partitions } },
      );
    if (this.#live === undefined && name === undefined)
      throw new MillraceError(
        'MR_NAME_MISSING',
        "groupBy with a function needs a name for its repartition topic: groupBy(fn, { name: 'by-country' })",
      );
    const key = typeof by === 'function' ? (by as (value: unknown) => unknown) : fieldOf(by);
    return derive<T, unknown>([this], {
      kind: 'groupBy',
      name,
      label: labelOf(by),
      role: { role: 'cut', name, key, partitions },
      make: groupBy(key),
    });
  }

  /**
   * Replaces the row of each event's key in a table by what `fn` makes of it and the value, and passes on the changes. Return
   * {@link DELETE} to remove the row. In a windowed table the row is that of the window of the event's time, or of `at`, in ms since 1970. See
   * `operators/update.ts`.
   *
   * @throws {@link MillraceError} `MR_NOT_IN_AN_APP` on a stream in a process; `MR_ARGUMENT_INVALID` for what is no table.
   */
  update<V, R>(
    table: TableKeyedBy<K, V, R>,
    fn: (current: NoInfer<R>, value: T) => NoInfer<V> | typeof DELETE,
    options: { readonly at?: ((value: T) => number) | undefined } = {},
  ): Stream<Change<K, V>, K> {
    checkNames('update', options);
    return this.#derive<Change<K, V>>({
      kind: 'update',
      label: labelOf(table),
      role: { role: 'table', table },
      make: update(
        table,
        fn as (current: unknown, value: unknown) => unknown,
        options.at as ((value: unknown) => number) | undefined,
      ),
    });
  }

  /**
   * Replaces each value by its event: with key, event time (ms since 1970), headers and place. See `operators/events.ts`.
   */
  events(): Stream<EventView<T, K>, K> {
    return this.#derive<EventView<T, K>>({ kind: 'events', role: changing, make: events() });
  }

  /**
   * Puts the key in front of each value: `[key, value]`, `null` where there is none. See `operators/items.ts`.
   */
  items(): Stream<[K, T], K> {
    return this.#derive<[K, T]>({ kind: 'items', role: changing, make: items() });
  }

  /**
   * Adds an edge from this stream to another one, behind those that are there; its values go through the operator of `downstream`. Returns
   * `downstream`. Does nothing if the edge is there already.
   *
   * An edge to a stream further up closes a cycle. Values go round depth first; those that have to wait do so in the edge, and the `emit` that
   * set them going waits until nothing goes round any more. See `feedback.ts`.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const links: Readonly<Record<string, readonly string[]>> = { home: ['about', 'shop'], shop: ['cart'] };
   * const pages = new Stream<string>();
   * const visited = pages.toArray();
   * const found = pages.map((page) => links[page] ?? []).flatten();
   * found.connect(pages); // each link is a page to visit
   * await pages.emit('home');
   * await pages.close();
   * await visited; // => ['home', 'about', 'shop', 'cart']
   * ```
   *
   * @throws {@link MillraceError} `MR_CLOSED` when `downstream` was closed; `MR_ARGUMENT_INVALID` when it has several inputs, or is no
   * stream; `MR_TEMPLATE` on streams of topics.
   */
  connect<U>(
    this: Stream<NoInfer<U>, unknown>,
    downstream: Stream<U, unknown>,
  ): Stream<U, unknown> {
    const instead = 'merge streams with union, or sink into a topic';
    checkStreams('connect', [downstream]);
    connect(this.#mustLive('connect', instead), downstream.#mustLive('connect', instead));
    return downstream;
  }

  /**
   * Removes the edge to `downstream`, which goes on without it and may be connected again. Does nothing if there is none.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const seen: string[] = [];
   * const [sensor, screen] = [new Stream<string>(), new Stream<string>()];
   * screen.sink((text) => seen.push(text));
   * sensor.connect(screen);
   * await sensor.emit('on');
   * sensor.disconnect(screen);
   * await sensor.emit('off');
   * seen; // => ['on']
   * ```
   *
   * @throws {@link MillraceError} `MR_TEMPLATE` on streams of topics.
   */
  disconnect(downstream: Stream<unknown, unknown>): void {
    const instead = 'declare what the app shall do from the start';
    checkStreams('disconnect', [downstream]);
    disconnect(this.#mustLive('disconnect', instead), downstream.#mustLive('disconnect', instead));
  }

  /**
   * Takes this stream off those in front of it and ends it, and everything behind it that has no other source, at once: nothing is flushed,
   * values that wait in front of busy functions are dropped, iterators end. Idempotent. A topic's stream leaves the description.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const batches: number[][] = [];
   * const numbers = new Stream<number>();
   * const pairs = numbers.partition(2);
   * pairs.sink((pair) => batches.push(pair));
   * await numbers.emitAll([1, 2, 3]);
   * pairs.destroy(); // the 3 is dropped
   * await numbers.emit(4); // nobody listens any more
   * batches; // => [[1, 2]]
   * ```
   */
  destroy(): void {
    if (this.#live !== undefined) destroy(this.#live);
    else for (const parent of [...this['~node'].parents]) unlink(parent, this['~node']);
  }

  /**
   * Ends this stream in good order: later emits are refused (`MR_CLOSED`), what was accepted is finished, operators send what they hold
   * back, iterators end. So does everything behind it that has no other source. Idempotent.
   *
   * Do not wait for it in a function of the same graph. Rejects with what operators throw when they send what they hold back, and with
   * `MR_TEMPLATE` on the stream of a topic.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const batches: number[][] = [];
   * const numbers = new Stream<number>();
   * numbers.partition(2).sink((pair) => batches.push(pair));
   * await numbers.emitAll([1, 2, 3]);
   * await numbers.close(); // sends the 3
   * batches; // => [[1, 2], [3]]
   * ```
   */
  async close(): Promise<void> {
    await close(this.#mustLive('close', 'stop the app instead'));
  }

  /**
   * Resolves when every event that this stream and those in front of it have accepted so far is finished or has failed, also what is in buffers
   * behind them. Behind `Stream.from`, when all its values are through; rejects if that failed, with what failed behind a buffer and nobody was
   * told of, and with `MR_TEMPLATE` on the stream of a topic.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const stored: number[] = [];
   * const numbers = new Stream<number>();
   * numbers.map(async (n) => n * 2).sink((n) => stored.push(n));
   * void numbers.emit(1);
   * void numbers.emit(2);
   * await numbers.drain();
   * stored; // => [2, 4]
   * ```
   */
  async drain(): Promise<void> {
    await drain(this.#mustLive('drain', 'the app commits what is finished by itself'));
  }

  /**
   * What this operator and all behind it hold (states, open groups and windows, what buffers have), for {@link Stream.restore}. Values that are under way are
   * not in it: `await drain()` first. It is data of this platform's structured clone: instances of classes become plain objects.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const numbers = new Stream<number>();
   * numbers.accumulate((sum, n) => sum + n);
   * await numbers.emitAll([20, 22]);
   * await numbers.drain();
   * const bytes = numbers.snapshot(); // for a file
   * bytes.length > 0; // => true
   * ```
   *
   * @throws {@link MillraceError} `MR_ENCODE_FAILED` when a state holds functions or symbols; `MR_TEMPLATE` on the stream of a topic.
   */
  snapshot(): Uint8Array {
    return snapshot(this.#mustLive('snapshot', 'the app commits the state of its operators'));
  }

  /**
   * Puts what a snapshot holds in place of what this operator and all behind it hold. The graph must be declared in the same way as the one that it is of. Times
   * that were running (of groups, windows, delays) go on from now.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const [before, after] = [new Stream<number>(), new Stream<number>()];
   * const [, sums] = [before, after].map((numbers) => numbers.accumulate((sum, n) => sum + n));
   * await before.emit(20);
   * after.restore(before.snapshot());
   * await after.emit(22);
   * sums?.peek(); // => 42
   * ```
   *
   * @throws {@link MillraceError} `MR_SNAPSHOT_INVALID` for other bytes, and a snapshot of another graph; `MR_TEMPLATE` on the stream of a topic.
   */
  restore(bytes: Uint8Array): void {
    restore(this.#mustLive('restore', 'the app loads the state of its operators'), bytes);
  }

  /**
   * A copy of what this operator holds: its state, or that of one key of a keyed stream. `undefined` where it holds nothing. Nothing changes.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const sales = new Stream<{ city: string; n: number }>();
   * const sums = sales.groupBy('city').accumulate((sum, { n }) => sum + n, { start: 0 });
   * await sales.emit({ city: 'Rome', n: 2 });
   * sums.peek('Rome'); // => 2
   * ```
   *
   * @throws {@link MillraceError} `MR_TEMPLATE` on the stream of a topic: put what you want to look at into a table.
   */
  peek(key?: Key): unknown {
    return peek(this.#mustLive('peek', 'put what you want to look at into a table'), key);
  }

  /**
   * {@link Stream.close}, at the end of a block.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const batches: number[][] = [];
   * {
   *   await using numbers = new Stream<number>();
   *   numbers.partition(2).sink((pair) => batches.push(pair));
   *   await numbers.emit(1);
   * }
   * batches; // => [[1]]
   * ```
   */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Draws the whole graph that this stream belongs to, with everything declared so far: as text in the language of Graphviz (`'dot'`, default) or
   * Mermaid, or as an `<svg>` element (a promise). A node says what it does, and the name of its function or its size; an edge, its place
   * among those that leave a node, if there are several. With `rates` also how many values have gone over it since the first such picture,
   * and per second.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const double = (n: number) => n * 2;
   * const doubled = Stream.from([1, 2]).map(double);
   * console.log(doubled.visualize({ format: 'mermaid' }));
   * ```
   *
   * <!-- output -->
   *
   * ```text
   * flowchart LR
   *   n0[["from"]]
   *   n1(["map double"])
   *   n0 --> n1
   * ```
   *
   * @throws {@link MillraceError} `MR_OPTION_INVALID`; `MR_TEMPLATE` for rates of the stream of a topic. For `'svg'` the package `@viz-js/viz` has
   * to be installed, else the promise rejects with `MR_DEPENDENCY_MISSING`.
   */
  visualize(options: VisualizeOptions & { readonly format: 'svg' }): Promise<string>;
  visualize(
    options?: VisualizeOptions & { readonly format?: 'dot' | 'mermaid' | undefined },
  ): string;
  visualize(options: VisualizeOptions): string | Promise<string>;
  visualize(options?: VisualizeOptions): string | Promise<string> {
    return visualize(this['~node'], options);
  }

  /**
   * `<map>`, or `<map double>` with its name, else that of its function or its size.
   *
   * ```ts
   * import { Stream } from 'millrace';
   *
   * const double = (n: number) => n * 2;
   * String(new Stream<number>().map(double)); // => '<map double>'
   * ```
   */
  toString(): string {
    return this['~node'].toString();
  }

  #derive<R>(description: NodeDescription): Stream<R, K> {
    return derive<R, K>([this], description);
  }

  #mustLive(method: string, instead: string): LiveNode {
    if (this.#live === undefined) throw this.#template(method, instead);
    return this.#live;
  }

  #template(method: string, instead: string): MillraceError {
    return new MillraceError(
      'MR_TEMPLATE',
      `${method} on ${this.toString()}, which belongs to an app: it describes what every task does and carries no values itself; ${instead}`,
      { details: { stream: this.name, method } },
    );
  }
}

/**
 * A stream behind others, by an operator of the caller's. For operators that are not methods of `Stream`.
 *
 * @internal
 * @throws {@link MillraceError} `MR_TEMPLATE` for streams of which some belong to an app and some to the process, `MR_NAME_INVALID` for a name that cannot be
 * durable in an app, and what the operator throws when it is made.
 */
export function derive<T, K>(
  parents: readonly Stream<unknown, unknown>[],
  description: NodeDescription,
): Stream<T, K> {
  checkStreams(description.kind, parents);
  const nodes = parents.map((parent) => parent['~node']);
  const live = nodes.filter((node) => node instanceof LiveNode);
  const [first] = live;
  if (first === undefined) {
    if (description.name !== undefined) validName(description.kind, description.name);
    return templateStream<T, K>(childNode(nodes, description));
  }
  if (live.length < nodes.length)
    throw new MillraceError(
      'MR_TEMPLATE',
      `${description.kind} of ${nodes.join(' and ')}: some belong to an app, some to this process; send the values of the latter to a topic of the app`,
    );
  return new Stream<T, K>(new LiveNode(live, description, first.clock));
}

/**
 * The stream of a node that an app brings to life.
 *
 * @internal
 */
export function templateStream<T, K>(node: GraphNode): Stream<T, K> {
  return new Stream<T, K>(ownNode(node));
}

/**
 * The description of a stream, to walk from there.
 *
 * @internal
 */
export function nodeOf(stream: Stream<unknown, unknown>): GraphNode {
  return stream['~node'];
}

function checkStreams(what: string, given: readonly unknown[]): void {
  for (const each of given)
    if (!(each instanceof Stream))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `${what} was given ${kindOf(each)}; give streams, and put constants in with map`,
        { details: { what } },
      );
}

function sourceInProcess(kind: string, { name, clock = systemClock() }: StreamOptions): LiveNode {
  const description = sourceNode(kind, null, name);
  return new LiveNode([], description, clock);
}

function distinct(streams: readonly Stream<unknown, unknown>[]): Stream<unknown, unknown>[] {
  return [...new Set(streams)];
}

/** A role that holds values by the clock if there is a time. */
function timed<R extends object>(role: R, time: Duration | undefined, instead: string): R {
  return time === undefined ? role : { ...role, holds: instead };
}

function gatheringOf(
  options: Pick<KeepOptions<never>, 'key' | 'keep'>,
): Gathering<Map<unknown, unknown>> {
  const { key } = options;
  const kept: unknown = options.keep ?? 'first';
  if (kept !== 'first' && kept !== 'last')
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `keep is ${kindOf(kept)}; give 'first' or 'last'`,
      { details: { option: 'keep', value: kept } },
    );
  return onePerKey(
    key === undefined ? undefined : synchronous('the key', key as (value: unknown) => unknown),
    kept,
  );
}

/** Nothing comes out of a stream any more, as its operator says. */
function endByItself(stream: Stream<unknown, unknown>): void {
  const node = stream['~node'];
  if (node instanceof LiveNode) closeByItself(node);
}

/** The streams that are joined, and the options: `(a, b)`, or `([a, b], options)`. */
function joined(
  what: 'zip' | 'combineLatest',
  first: Stream<unknown, unknown>,
  given: readonly unknown[],
): { readonly streams: Stream<unknown, unknown>[]; readonly options: unknown } {
  const [list, options] = Array.isArray(given[0]) ? [given[0], given[1] ?? {}] : [given, {}];
  checkNames(what, options);
  return { streams: [first, ...(list as Stream<unknown, unknown>[])], options };
}

/** Which of the joined streams `emitOn` means. */
function placesOf(
  emitOn: CombineOptions['emitOn'],
  streams: readonly Stream<unknown, unknown>[],
): number[] | undefined {
  if (emitOn === undefined) return undefined;
  const asked: readonly unknown[] = Array.isArray(emitOn) ? emitOn : [emitOn];
  return asked.flatMap((stream) => {
    const places = streams.flatMap((each, i) => (each === stream ? [i] : []));
    if (places.length > 0) return places;
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `emitOn holds ${stream instanceof Stream ? stream.toString() : kindOf(stream)}, which is none of the streams that are combined; give one of those`,
      { details: { option: 'emitOn' } },
    );
  });
}
