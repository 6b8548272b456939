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
import { kindOf } from '../core/given.ts';
import { validName } from '../core/names.ts';
import type { Awaitable, Key, KeyFields } from '../core/types.ts';
import { collect, iterate } from './branch.ts';
import { connect } from './connect.ts';
import type { DELETE } from './delete.ts';
import { close, destroy, drain } from './ending.ts';
import { emitAll, Feed } from './feed.ts';
import { childNode, Node, ownNode, sourceNode, unlink } from './graph.ts';
import type { NodeDescription } from './graph.ts';
import { concurrencyBehind, detach, LiveNode } from './live-node.ts';
import type { GraphNode, IterateOptions } from './node.ts';
import type { Accepts, Change, SinkTarget, TableKeyedBy } from './operator.ts';
import { accumulate } from './operators/accumulate.ts';
import { buffer } from './operators/buffer.ts';
import { echo } from './operators/echo.ts';
import { enumerate } from './operators/enumerate.ts';
import { events } from './operators/events.ts';
import { filter } from './operators/filter.ts';
import { flatten } from './operators/flatten.ts';
import { fieldOf, groupBy } from './operators/group-by.ts';
import { items } from './operators/items.ts';
import { map } from './operators/map.ts';
import { onError } from './operators/on-error.ts';
import { pluck } from './operators/pluck.ts';
import { processors } from './operators/processors.ts';
import { sink } from './operators/sink.ts';
import { starmap } from './operators/starmap.ts';
import { take } from './operators/take.ts';
import { tap } from './operators/tap.ts';
import { through } from './operators/through.ts';
import { union } from './operators/union.ts';
import { update } from './operators/update.ts';
import { policyOf } from './policy.ts';
import type { OnError } from './policy.ts';
import { processScope } from './process-scope.ts';
import type { EventView } from './stream-event.ts';

/** What a stream in a process takes. */
export interface StreamOptions {
  /** For pictures and errors. */
  readonly name?: string | undefined;
  /** @internal The time of operators behind it. Default: the platform's clock. */
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
  /** Durable name of the state in an app. Default: the operator's. */
  readonly name?: string | undefined;
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

/** Something whose values can be read as a stream: a topic. */
export interface Readable<out V, out K> {
  stream(): Stream<V, K>;
}

/** One stream for each type of a tuple. */
export type Streams<U extends readonly unknown[]> = { [I in keyof U]: Stream<U[I], unknown> };

/** The end of a pipeline. Dispose of it, or of the stream, to end it. */
export interface Sink<T> extends Disposable {
  readonly upstream: Stream<T, unknown>;
  /** Takes it off its stream. What waits in front of a busy function is dropped. Idempotent. */
  destroy(): void;
}

const passing = { role: 'operator', transparent: true, stateful: false } as const;
const changing = { role: 'operator', transparent: false, stateful: false } as const;
const remembering = { role: 'operator', transparent: false, stateful: true } as const;

/**
 * A stream of values of type `T`. `K` is what they are keyed by: `null` in a process and for topics without keys, until `groupBy`.
 *
 * Values go from operator to operator by plain calls. As long as no function on their way returns a promise there is none at all:
 * `emit` returns nothing. Otherwise it returns a promise of the moment when the value has been dealt with everywhere; to wait for that is
 * all there is to back-pressure. A function is called for one value at a time, so order is kept even by those who do not wait.
 *
 * What a function throws is thrown by the `emit` that caused it, or rejects its promise. The graph goes on afterwards.
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

  /** A source in this process: values come in by {@link Stream.emit}. */
  constructor(options?: StreamOptions);
  /** @internal */
  constructor(node: Node);
  constructor(from: StreamOptions | Node = {}) {
    this['~node'] = from instanceof Node ? from : sourceInProcess('source', from);
    this.#live = this['~node'] instanceof LiveNode ? this['~node'] : undefined;
  }

  /**
   * A stream of the `values`, closed behind the last one. It begins when a sink, an iterator or `toArray` is there to see them:
   * whoever is declared in the same go sees all. An iterable is read no faster than its values are dealt with.
   *
   * What an operator or the iterable throws ends the stream, and rejects iterators, `toArray` and `drain`; if there are none, it is an
   * unhandled rejection.
   */
  static from<T>(values: Iterable<T> | AsyncIterable<T>): Stream<T> {
    const node = sourceInProcess('from', {});
    node.feed = new Feed(node, values);
    return new Stream<T>(node);
  }

  /** The values of several streams as they come: `union` without a first among equals. Without streams: an empty one. */
  static merge<U extends readonly unknown[]>(...streams: Streams<U>): Stream<U[number]> {
    if (streams.length === 0) return Stream.from<U[number]>([]);
    return derive<U[number], null>(distinct(streams), {
      kind: 'union',
      role: passing,
      make: union(),
    });
  }

  /** The name it was given, else the kind of its operator. */
  get name(): string {
    return this['~node'].name ?? this['~node'].kind;
  }

  /**
   * Sends a value to everything declared on this stream; on a stream behind an operator, past that operator. Returns nothing when it has
   * been dealt with already, else a promise of that. `await` takes both.
   *
   * Do not wait for it in a function of the same graph: that would wait for itself. {@link Stream.connect} closes cycles.
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
   * first error ends it. Rejects as {@link Stream.emit} throws.
   */
  async emitAll(values: Iterable<T> | AsyncIterable<T>): Promise<void> {
    await emitAll(this.#mustLive('emitAll', 'send to the topic with topic.send'), values);
  }

  /** {@link Stream.iterate} with its defaults: `for await (const value of stream)`. */
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
   * @throws {@link MillraceError} `MR_OPTION_INVALID` for a capacity that is not an integer from 1, or an option that the stream cannot have;
   * `MR_TEMPLATE` behind operators on a topic, for which there are agents. The rest rejects `next()`: `MR_NAME_TAKEN` when the process iterates as
   * that group already, and what makes workers fail.
   */
  iterate(options: IterateOptions = {}): AsyncIterableIterator<T> {
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

  /** Replaces each value by what `fn` makes of it, awaited. See `operators/map.ts`. */
  map<R>(fn: (value: T) => R, options: MapOptions = {}): Stream<Awaited<R>, K> {
    return this.#derive<Awaited<R>>({
      kind: 'map',
      name: options.name,
      role: changing,
      make: map(fn as (value: unknown) => R, options),
      concurrency: options.concurrency,
    });
  }

  /** Calls `fn` with the elements of each value as its arguments. See `operators/starmap.ts`. */
  starmap<A extends readonly unknown[], R>(
    this: Stream<A, K>,
    fn: (...args: A) => R,
  ): Stream<Awaited<R>, K> {
    return derive<Awaited<R>, K>([this], {
      kind: 'starmap',
      role: changing,
      make: starmap(fn as unknown as (...args: unknown[]) => R),
    });
  }

  /** Passes on the values for which `predicate` gives something true, now or later. See `operators/filter.ts`. */
  filter<S extends T>(predicate: (value: T) => value is S): Stream<S, K>;
  filter(predicate: (value: T) => unknown): Stream<T, K>;
  filter(predicate: (value: T) => unknown): Stream<T, K> {
    return this.#derive<T>({
      kind: 'filter',
      role: passing,
      make: filter(predicate as (value: unknown) => unknown),
    });
  }

  /** Passes on the elements of each value, one level deep. See `operators/flatten.ts`. */
  flatten<U>(this: Stream<Iterable<U> | AsyncIterable<U>, K>): Stream<U, K> {
    return derive<U, K>([this], { kind: 'flatten', role: changing, make: flatten() });
  }

  /** Passes on some fields of each value, as a tuple, or one. See `operators/pluck.ts`. */
  pluck<const F extends readonly (keyof T)[]>(
    fields: F,
  ): Stream<{ -readonly [I in keyof F]: T[F[I]] }, K>;
  pluck<F extends keyof T>(field: F): Stream<T[F], K>;
  pluck(fields: PropertyKey | readonly PropertyKey[]): Stream<unknown, K> {
    return this.#derive({ kind: 'pluck', role: changing, make: pluck(fields) });
  }

  /** Calls `fn` with each value, waits for it, and passes the value on as it came. See `operators/tap.ts`. */
  tap(fn: (value: T) => unknown): Stream<T, K> {
    return this.#derive<T>({
      kind: 'tap',
      role: passing,
      make: tap(fn as (value: unknown) => unknown),
    });
  }

  /** Passes each value through functions, one after the other, each awaited. See `operators/processors.ts`. */
  processors(...fns: ((value: T) => Awaitable<T>)[]): Stream<T, K> {
    return this.#derive<T>({
      kind: 'processors',
      role: changing,
      make: processors(fns as ((value: unknown) => unknown)[]),
    });
  }

  /** Sends each value to topics and agents as well, and passes it on as it came. See `operators/echo.ts`. */
  echo(...targets: Accepts<T>[]): Stream<T, K> {
    return this.#derive<T>({ kind: 'echo', role: passing, make: echo(targets) });
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
    this.#derive({ kind: 'through', role: { role: 'sink', target: topic }, make: sink(topic) });
    return templateStream<V, K2>(source);
  }

  /** Numbers the values from `start` (default 0); per key on a keyed stream. See `operators/enumerate.ts`. */
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
   */
  accumulate(fn: (state: T, value: T) => T): Stream<T, K>;
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
    const { returnsState = false, withState = false, name } = options;
    if (returnsState && withState)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        'accumulate was given both returnsState and withState; give one of them, and return the state as part of the output if you want both',
      );
    return this.#derive({
      kind: 'accumulate',
      name,
      role: remembering,
      make: accumulate(
        fn as (state: unknown, value: unknown) => unknown,
        Object.hasOwn(options, 'start') ? { value: options.start } : undefined,
        returnsState ? 'returnsState' : withState ? 'withState' : 'state',
      ),
    });
  }

  /** `map` with a state: `fn` returns `[state, output]`. The state is per key on a keyed stream. See `operators/accumulate.ts`. */
  mapState<S, O>(
    start: S,
    fn: (state: S, value: T) => readonly [state: S, output: O],
    options: { readonly name?: string | undefined } = {},
  ): Stream<O, K> {
    return this.#derive<O>({
      kind: 'mapState',
      name: options.name,
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
   * Groups of `count` values, as arrays; with `within`, at the latest so long after the first value of a group. One group at a time per key on a
   * keyed stream. `close` sends what is left. See `operators/take.ts`.
   */
  take(count: number, options: TakeOptions = {}): Stream<T[], K> {
    const { within, name } = options;
    return this.#derive<T[]>({
      kind: 'take',
      name,
      role:
        within === undefined
          ? remembering
          : { ...remembering, holds: 'leave within out, or take in an agent: stream.take(…)' },
      make: take(count, within),
    });
  }

  /**
   * Lets the emitter run ahead of what follows by up to `capacity` values. Only in a process. See `operators/buffer.ts`.
   */
  buffer(capacity: number): Stream<T, K> {
    const behind = (): number => {
      const node = buffered['~node'];
      return node instanceof LiveNode ? concurrencyBehind(node) : 1;
    };
    const buffered: Stream<T, K> = this.#derive<T>({
      kind: 'buffer',
      role: {
        ...passing,
        holds:
          'leave it out: the topics of an app are its buffers, and a task reads no faster than it works',
      },
      make: buffer(capacity, behind),
    });
    return buffered;
  }

  /** The values of this stream and of others as they come. A stream that is given twice counts once. See `operators/union.ts`. */
  union<U extends readonly unknown[]>(...others: Streams<U>): Stream<T | U[number], K> {
    return derive<T | U[number], K>(distinct([this, ...others]), {
      kind: 'union',
      role: passing,
      make: union(),
    });
  }

  /** What `op` makes of this stream: a place in the chain for operators that are not methods. */
  pipe<R>(op: (stream: this) => R): R {
    return op(this);
  }

  /** Ends the chain: calls functions with each value, or sends it to topics and agents, in order. See `operators/sink.ts`. */
  sink(...targets: SinkTarget<T>[]): Sink<T> {
    if (targets.length === 0)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        'sink was called without a target; give a function, a topic, an agent or a channel',
      );
    const makers = targets.map((target) => ({ target, make: sink(target) }));
    const ends = makers.map(({ target, make }) =>
      this.#derive({ kind: 'sink', role: { role: 'sink', target }, make }),
    );
    const end = (): void => {
      for (const each of ends) each.destroy();
    };
    return { upstream: this, destroy: end, [Symbol.dispose]: end };
  }

  /**
   * All values from now until the stream is closed, in memory. Rejects with `MR_CLOSED` when the stream is destroyed first, with
   * `MR_TEMPLATE` on the stream of a topic.
   */
  async toArray(): Promise<T[]> {
    const live = this.#mustLive('toArray', 'declare a sink or an agent on it to see its values');
    return (await collect(live)) as T[];
  }

  /**
   * Gives each value a key: a field's value, or what a function makes of it. Operators behind it keep their state per key. In an app the
   * values go through a repartition topic, named after the field or by `name`, so that equal keys meet in one task. See
   * `operators/group-by.ts`.
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
      role: { role: 'cut', name, key, partitions },
      make: groupBy(key),
    });
  }

  /**
   * Replaces the row of each event's key in a table by what `fn` makes of it and the value, and passes on the changes. Return
   * {@link DELETE} to remove the row. In a windowed table the row is that of the window of the event's time, or of `at`. See
   * `operators/update.ts`.
   *
   * @throws {@link MillraceError} `MR_NOT_IN_AN_APP` on a stream in a process.
   */
  update<V, R>(
    table: TableKeyedBy<K, V, R>,
    fn: (current: NoInfer<R>, value: T) => NoInfer<V> | typeof DELETE,
    options: { readonly at?: ((value: T) => number) | undefined } = {},
  ): Stream<Change<K, V>, K> {
    return this.#derive<Change<K, V>>({
      kind: 'update',
      role: { role: 'table', table },
      make: update(
        table,
        fn as (current: unknown, value: unknown) => unknown,
        options.at as ((value: unknown) => number) | undefined,
      ),
    });
  }

  /** Replaces each value by its event: with key, event time, headers and place. See `operators/events.ts`. */
  events(): Stream<EventView<T, K>, K> {
    return this.#derive<EventView<T, K>>({ kind: 'events', role: changing, make: events() });
  }

  /** Puts the key in front of each value, `null` where there is none. See `operators/items.ts`. */
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
   * @throws {@link MillraceError} `MR_CLOSED` when `downstream` was closed; `MR_ARGUMENT_INVALID` when it has several inputs; `MR_TEMPLATE` on
   * streams of topics.
   */
  connect<U>(
    this: Stream<NoInfer<U>, unknown>,
    downstream: Stream<U, unknown>,
  ): Stream<U, unknown> {
    const instead = 'merge streams with union, or sink into a topic';
    connect(this.#mustLive('connect', instead), downstream.#mustLive('connect', instead));
    return downstream;
  }

  /** Removes the edge to `downstream`, which may be connected again. Does nothing if there is none. `MR_TEMPLATE` as for `connect`. */
  disconnect(downstream: Stream<T, unknown>): void {
    const instead = 'declare what the app shall do from the start';
    detach(this.#mustLive('disconnect', instead), downstream.#mustLive('disconnect', instead));
  }

  /**
   * Takes this stream off those in front of it and ends it, and everything behind it that has no other source, at once: nothing is flushed,
   * values that wait in front of busy functions are dropped, iterators end. Idempotent. A topic's stream leaves the description.
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
   */
  async close(): Promise<void> {
    await close(this.#mustLive('close', 'stop the app instead'));
  }

  /**
   * Resolves when every event that this stream and those in front of it have accepted so far is finished or has failed, also what is in buffers
   * behind them. Behind `Stream.from`, when all its values are through; rejects if that failed, with what failed behind a buffer and nobody was
   * told of, and with `MR_TEMPLATE` on the stream of a topic.
   */
  async drain(): Promise<void> {
    await drain(this.#mustLive('drain', 'the app commits what is finished by itself'));
  }

  /** {@link Stream.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** `<map>`, or with a name `<map double>`. */
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
  return new Stream<T, K>(new LiveNode(live, description, first.scope));
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

function sourceInProcess(kind: string, { name, clock = systemClock() }: StreamOptions): LiveNode {
  const description = sourceNode(kind, null, name);
  return new LiveNode([], description, processScope(clock));
}

function distinct(streams: readonly Stream<unknown, unknown>[]): Stream<unknown, unknown>[] {
  return [...new Set(streams)];
}
