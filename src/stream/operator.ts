/**
 * The contract between the push graph and its operators.
 *
 * An operator is written once and lives in two kinds of graph: in-process pipelines, where a node is alive as soon as
 * it is declared, and apps, where a topic's stream is a template that is instantiated once per task.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { Detached } from './detached.ts';
import type { Policy } from './policy.ts';

/**
 * Takes one value. Returns nothing when the value has been dealt with, or a promise of that moment: the caller waits for
 * it before it says that its own value is dealt with, and that is all there is to back-pressure.
 *
 * A throw (or a rejection) means that the value failed. `event` may be reused by the caller after the return or after the
 * promise has settled, whichever is later.
 */
export type Receive = (value: unknown, event: EventCell | null) => void | Promise<void>;

/** Where an operator sends what it makes. `next` changes when consumers come and go: read it at each call. */
export interface Output {
  next: Receive;
}

/** An operator that is alive. */
export interface Operator {
  /** One per parent, in their order; or one that all parents share. */
  readonly inputs: readonly Receive[];
  /** Its one input does nothing but call the output: those in front may call that themselves. */
  readonly passesThrough?: true | undefined;
  /** One more parent was connected, in a process: the input for it. Missing: an operator with several inputs takes no more. */
  addInput?(): Receive;
  /** In a process: the parent of that input was disconnected, and the operator goes on without it. */
  removeInput?(input: Receive): void;
  /** In a process: nothing comes from that input any more, while others are still open. */
  endInput?(input: Receive): void;
  /** What it holds beside {@link Scope.state}, in a process. */
  readonly memory?: Memory | undefined;
  /** What it goes on with after the `emit` has been answered, in a process. Tasks have no such operators: a commit would not wait for it. */
  readonly detached?: Detached | undefined;
  /** All parents have ended: send what is held back. Called once. */
  flush?(): void | Promise<void>;
  /** Let go of timers and other resources. Called once, after `flush` or instead of it. */
  close?(): void;
}

/** Something in a process that a snapshot is taken of. */
export interface Memory {
  /** What is held: plain data, as structuredClone takes it. The caller copies it at once. */
  save(): unknown;
  /** Puts what `save` gave, or a copy of it, in place of what is held. */
  load(saved: unknown): void;
  /** What is held for one key, for programs that look. Default: all of it. */
  peek?(key: KeyRef | null): unknown;
}

/** Brings an operator to life. A plain function is an operator with one input, shared by all parents, that holds nothing. */
export type MakeOperator = (output: Output, scope: Scope) => Operator | Receive;

/** The state of a stateful operator: one value per key of a keyed stream, else one for the instance. */
export interface OperatorState<S> {
  get(event: EventCell | null): S;
  set(event: EventCell | null, value: S): void;
  /** Back to the start: the state of the event's key; in a process that of all keys for an event without one. */
  reset(event: EventCell | null): void;
}

/** What surrounds an instance: a process or a task of an app. */
export interface Scope {
  readonly kind: 'process' | 'task';
  readonly clock: Clock;
  /** State that lives and dies with the instance in a process, and is committed with the task in an app. */
  state<S>(start: () => S): OperatorState<S>;
  /** `next` under a policy: what fails is taken back as far as the scope can, then dealt with. */
  guard(policy: Policy, next: Receive): Receive;
}

/**
 * What a stream can be sunk to besides a function: topics, agents, channels.
 * `'~accepts'` is a function-typed PROPERTY, so that it is checked contravariantly: with a method, a topic of
 * `'a' | 'b'` would accept any string.
 */
export interface Accepts<in In> {
  readonly '~accepts': (value: In) => void;
}

/** How an {@link Accepts} takes values inside a graph. Implemented by the layers above under this key. */
export interface SinkPort {
  /** Its name, for pictures and errors. */
  readonly name: string;
  '~sink'(scope: Scope): Receive;
}

/** What `sink` takes. */
export type SinkTarget<T> = Accepts<T> | ((value: T) => unknown);

/** What `update` needs to know of a table. `Table` and `WindowedTable` implement it. */
export interface TableKeyedBy<in K, V, out R> {
  readonly '~keyedBy': (key: K) => { value: V; read: R };
}

/** How a table takes part in a graph. Implemented by `table` under this key. */
export interface TablePort {
  readonly name: string;
  /** An operator that applies `fn` to the row of the event's key and sends the change on. */
  '~update'(
    fn: (current: unknown, value: unknown) => unknown,
    at: ((value: unknown) => number) | undefined,
  ): MakeOperator;
}

/** A row that changed. `previous` and `value` are `undefined` where there is no row. */
export interface Change<K, V> {
  readonly key: K;
  readonly value: V | undefined;
  readonly previous: V | undefined;
  readonly window?: WindowInfo | undefined;
}

/** A window `[start, end)`, integer milliseconds since 1970. */
export interface WindowInfo {
  readonly start: number;
  readonly end: number;
}
