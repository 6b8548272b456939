/**
 * Recorded graphs in terms of this project. Names that differ (`remove`, `scan`, `map_async`, …) and what has no counterpart because functions
 * close over what they need (arguments that are passed on to functions, constants in a zip) is put in other words here; what behaves
 * differently is not: that stands in `exceptions.ts`.
 *
 * @module
 */
import type { VirtualClock } from '../../../src/core/clock.ts';
import { sleep } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import type { CaseNode } from './cases.ts';
import { functions } from './functions.ts';
import type { CaseFunction } from './functions.ts';

type Any = Stream<unknown, unknown>;
type Options = Readonly<Record<string, unknown>>;

/** What the sinks of a graph do. */
export interface World {
  readonly clock: VirtualClock;
  /** A value has come to the sink of that name. What it returns is waited for. */
  readonly arrived: (sink: string, value: unknown, options: SinkOptions) => void | Promise<void>;
}

/** How a sink of a timed case behaves: busy for so long, under a name in outputs, throwing at one value. */
export interface SinkOptions {
  readonly ms?: number;
  readonly label?: string;
  readonly throwsAt?: unknown;
}

/** A recorded graph, alive. */
export interface BuiltGraph {
  readonly sources: readonly Any[];
  readonly nodes: ReadonlyMap<string, Any>;
  readonly caches: readonly BoundedCache[];
}

export function build(
  graph: readonly CaseNode[],
  sinks: readonly string[],
  world: World,
): BuiltGraph {
  const nodes = new Map<string, Any>();
  const sources: Any[] = [];
  const caches: BoundedCache[] = [];
  const named = (name: unknown): Any => {
    const node = nodes.get(String(name));
    if (node === undefined) throw new Error(`no node ${String(name)}`);
    return node;
  };
  for (const [name, operator, parents = [], args = [], options = {}] of graph) {
    if (operator === 'connect') {
      named(parents[0]).connect(named(parents[1]));
    } else if (operator === 'source' || operator === 'from_iterable') {
      const node: Any =
        operator === 'source'
          ? new Stream({ name, clock: world.clock })
          : Stream.from(args[0] as unknown[]);
      sources.push(node);
      nodes.set(name, node);
    } else if (operator === 'sink') {
      const behaviour = (args[0] ?? {}) as SinkOptions;
      named(parents[0]).sink((value) => world.arrived(name, value, behaviour));
    } else {
      const inputs = parents.map((parent) => (typeof parent === 'string' ? named(parent) : parent));
      const [first] = inputs;
      if (!(first instanceof Stream)) throw new Error(`${name} has no parent`);
      const given: Given = { args, options, inputs, named, caches, clock: world.clock };
      nodes.set(name, operatorNamed(operator)(first, given));
    }
  }
  for (const name of sinks)
    if (nodes.has(name)) named(name).sink((value) => world.arrived(name, value, {}));
  return { sources, nodes, caches };
}

/** What an operator of a case is given beside its first input. */
export interface Given {
  readonly args: readonly unknown[];
  readonly options: Options;
  readonly inputs: readonly (Any | { readonly lit: unknown })[];
  readonly named: (name: unknown) => Any;
  readonly caches: BoundedCache[];
  readonly clock: VirtualClock;
}

type Build = (stream: Any, given: Given) => Any;

/** How an operator of that name is declared here. */
export function operatorNamed(name: string): Build {
  const found = operators[name];
  if (found === undefined) throw new Error(`no operator ${name}`);
  return found;
}

const accumulate: Build = (stream, { args: [fn], options }) => {
  const { start, returns_state: returnsState, with_state: withState, ...passedOn } = options;
  const more = Object.keys(passedOn).length > 0 ? [passedOn] : [];
  return loose(stream).accumulate(bound(fn, more), {
    ...(Object.hasOwn(options, 'start') ? { start } : {}),
    ...(returnsState === true ? { returnsState } : {}),
    ...(withState === true ? { withState } : {}),
  });
};

const flatten: Build = (stream) => (stream as Stream<Iterable<unknown>, unknown>).flatten();

const operators: Readonly<Record<string, Build>> = {
  accumulate,
  scan: accumulate,
  flatten,
  concat: flatten,
  map: (stream, { args: [fn, ...more], options }) =>
    stream.map(bound(fn, [...more, ...lastly(options)])),
  map_async: (stream, { args: [fn], options, clock }) =>
    stream.map(slowly(fn, clock), { concurrency: options['parallelism'] as number }),
  starmap: (stream, { args: [fn, ...more], options }) =>
    (stream as Stream<unknown[], unknown>).starmap(bound(fn, [...more, ...lastly(options)])),
  filter: (stream, { args: [fn, ...more] }) =>
    stream.filter(fn === null ? Boolean : bound(fn, more)),
  remove: (stream, { args: [fn, ...more] }) => {
    const predicate = bound(fn, more);
    return stream.filter((value) => !predicate(value));
  },
  pluck: (stream, { args: [fields] }) =>
    (stream as Stream<Record<number, unknown>, unknown>).pluck(fields as number[]),
  slice: (stream, { args: [start, end, step] }) =>
    stream.slice((start ?? 0) as number, optional(end), optional(step)),
  unique: (stream, { options: { maxsize, key, hashable } }) =>
    stream.unique({
      ...(maxsize === undefined ? {} : { maxsize: maxsize as number }),
      ...(key === undefined ? {} : { key: bound(key) }),
      ...(hashable === false ? { key: (value: unknown) => JSON.stringify(value) } : {}),
    }),
  partition: (stream, { args: [first], options: { n = first, key, timeout } }) =>
    stream.partition(n as number, {
      ...(key === undefined ? {} : { key: bound(key) }),
      ...(timeout === undefined ? {} : { timeout: ms(timeout) }),
    }),
  partition_unique: (stream, { args: [first], options: { n = first, ...options } }) =>
    stream.partitionUnique(n as number, uniqueOptions(options)),
  sliding_window: (stream, { args: [first], options: { n = first, return_partial: partial } }) =>
    stream.slidingWindow(
      n as number,
      partial === undefined ? {} : { returnPartial: partial as boolean },
    ),
  timed_window: (stream, { args: [interval], options }) =>
    stream.timedWindow(ms(options['interval'] ?? interval)),
  timed_window_unique: (stream, { args: [interval], options }) =>
    stream.timedWindowUnique(ms(options['interval'] ?? interval), uniqueOptions(options)),
  collect: (stream, { options, caches }) => {
    const most = (options['cache'] as { deque: number } | undefined)?.deque;
    if (most === undefined) return stream.collect();
    const cache = new BoundedCache(most);
    caches.push(cache);
    return stream.collect({ cache });
  },
  delay: (stream, { args: [by] }) => stream.delay(ms(by)),
  rate_limit: (stream, { args: [interval], options }) =>
    stream.rateLimit(ms(options['interval'] ?? interval)),
  buffer: (stream, { args: [capacity] }) => stream.buffer(capacity as number),
  union: (stream, { inputs }) => stream.union(...streamsOf(inputs.slice(1))),
  zip: (stream, { inputs, options: { maxsize } }) => {
    const [, ...others] = streamsOf(inputs);
    const zipped: Any =
      maxsize === undefined
        ? stream.zip(...others)
        : stream.zip(others, { maxsize: maxsize as number });
    if (inputs.length === others.length + 1) return zipped;
    return zipped.map((tuple) => {
      const values = (tuple as unknown[]).values();
      return inputs.map((input) => (input instanceof Stream ? values.next().value : input.lit));
    });
  },
  zip_latest: (stream, { inputs }) => stream.zipLatest(...streamsOf(inputs.slice(1))),
  combine_latest: (stream, { inputs, options: { emit_on: emitOn }, named }) => {
    const [first, ...others] = streamsOf(inputs);
    if (emitOn === undefined) return stream.combineLatest(...others);
    const one = (on: unknown): Any =>
      typeof on === 'number'
        ? ([first, ...others][on] ?? new Stream())
        : named((on as { node: string }).node);
    return stream.combineLatest(others, {
      emitOn: Array.isArray(emitOn) ? emitOn.map(one) : one(emitOn),
    });
  },
};

/** A cache of the caller's own for `collect`: the newest so many values. */
export class BoundedCache implements Iterable<unknown> {
  readonly #most: number;
  #values: unknown[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  push(value: unknown): void {
    this.#values = [...this.#values, value].slice(-this.#most);
  }

  get length(): number {
    return this.#values.length;
  }

  set length(length: number) {
    this.#values.length = length;
  }

  [Symbol.iterator](): Iterator<unknown> {
    return this.#values.values();
  }
}

/** `accumulate` as it is called without its types: a recorded case may combine what their overloads keep apart. */
function loose(stream: Any): { accumulate(fn: CaseFunction, options: object): Any } {
  return stream as { accumulate(fn: CaseFunction, options: object): unknown } as {
    accumulate(fn: CaseFunction, options: object): Any;
  };
}

/** The function of a case, with more arguments behind those it is called with. */
function bound(named: unknown, more: readonly unknown[] = []): CaseFunction {
  if (named === undefined) return undefined as unknown as CaseFunction;
  const { fn } = named as { fn: string };
  const found = functions[fn];
  if (found === undefined) throw new Error(`no function ${fn}`);
  return more.length === 0 ? (...args) => found(...args) : (...args) => found(...args, ...more);
}

function slowly(named: unknown, clock: VirtualClock): CaseFunction {
  const fn = bound(named);
  const { ms: tookMs } = named as { ms: number };
  return async (value) => {
    await sleep(clock, tookMs);
    return fn(value);
  };
}

function lastly(options: Options): readonly unknown[] {
  return Object.keys(options).length > 0 ? [options] : [];
}

function uniqueOptions({ key, keep }: Options): {
  key?: (value: unknown) => unknown;
  keep?: 'first' | 'last';
} {
  return {
    ...(key === undefined ? {} : { key: bound(key) }),
    ...(keep === undefined ? {} : { keep: keep as 'first' | 'last' }),
  };
}

function streamsOf(inputs: readonly unknown[]): Any[] {
  return inputs.filter((input): input is Any => input instanceof Stream);
}

function ms(seconds: unknown): number {
  return (seconds as number) * 1_000;
}

function optional(value: unknown): number | undefined {
  return (value ?? undefined) as number | undefined;
}
