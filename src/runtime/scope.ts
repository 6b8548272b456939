/**
 * What surrounds the operators of a task.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { KeyedStore } from '../state/store.ts';
import type { OperatorState, Scope } from '../stream/operator.ts';
import type { Policy } from '../stream/policy.ts';
import type { Processing, ProcessingCell } from '../table/processing.ts';
import type { Answer } from './answer.ts';
import type { TopicFormat } from './format.ts';
import type { GuardContext } from './guard.ts';

/** What a task tells its agents. */
export interface AttachedAgent {
  /** How many events it must be able to have at once, or it cannot go on; 0: one is enough. */
  readonly wanted: number;
  /** How many it can make use of. */
  readonly room: number;
  /** Whether no user code of it is at work: what it has and has not finished waits for events that are still to come. */
  readonly resting: boolean;
  /** Events in your queues were taken back: let go of those that are withdrawn. */
  sweep(): void;
  /** The task begins (true) or ends (false) to wait for what is under way. */
  barrier(waiting: boolean): void;
  /** There will be no more events. */
  drain(): void;
}

/** A scope with the means of an app. Sinks and agents of the layer above ask for it. */
export interface TaskScope extends Scope {
  readonly kind: 'task';
  /** Id of the task. */
  readonly task: string;
  readonly partition: number;
  readonly processing: Processing;
  /** Aborts when the task is to end. */
  readonly signal: AbortSignal;
  /** The cell of events that are processed one after the other. */
  readonly cell: ProcessingCell;
  readonly guards: GuardContext;
  /** What becomes of events that fail where no nearer policy stands. */
  readonly policy: Policy;
  /** Whether a commit covers events only up to the first that is unfinished, instead of waiting for those under way. */
  readonly atLeastOnce: boolean;
  /** Sends within the commit: with the event's key, time and headers, but for those of a question. */
  send(format: TopicFormat, value: unknown, event: EventCell | null): void;
  /** Sends the stored bytes of an event on, with its key, time and headers. */
  forward(topic: string, event: EventCell): void;
  /** An agent wants so many events at once, all its bodies together; its {@link AttachedAgent.wanted} has changed. */
  want(events: number): void;
  /** An agent takes part in the task. */
  attach(agent: AttachedAgent): void;
  /** What has come of an event that was given to an agent, within the event's commit. Does nothing when nobody has asked. */
  reply(agent: string, answer: Answer, event: EventCell | null): void;
}

/** True for the scope of a task. */
export function isTaskScope(scope: Scope): scope is TaskScope {
  return scope.kind === 'task';
}

/** State of an operator in a task: per key where events have keys, else one for the task. */
export function operatorState<S>(
  name: string,
  store: KeyedStore,
  partitions: number,
  start: () => S,
): OperatorState<S> {
  const keyOf = (event: EventCell | null): KeyRef => {
    if (event !== null && event.key !== null) return event.key;
    if (partitions === 1) return NO_KEY;
    throw new MillraceError(
      'MR_KEY_MISSING',
      `${name} keeps state, and an event of topic ${event?.topic ?? '?'} without a key reached it: the result would depend on the number of partitions (${partitions}). Key the stream with groupBy(…) first, or give the topic one partition`,
      { details: { state: name, topic: event?.topic } },
    );
  };
  return {
    get(event) {
      const cell = store.find(keyOf(event));
      const value = cell === undefined ? undefined : store.read(cell, event?.effects ?? null);
      return value === undefined ? start() : (value as S);
    },
    set(event, value) {
      store.write(store.cell(keyOf(event)), value, event?.effects ?? null);
    },
    reset(event) {
      this.set(event, start());
    },
  };
}

/** Key of the one row of an operator that sees no keys. */
const NO_KEY: KeyRef = { key: '', id: '', bytes: new Uint8Array() };
