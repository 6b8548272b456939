/**
 * What surrounds the operators of a task.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { KeyedStore } from '../state/store.ts';
import type { OperatorState, Scope } from '../stream/operator.ts';
import type { Processing, ProcessingCell } from '../table/processing.ts';
import type { TopicFormat } from './format.ts';

/** A scope with the means of an app. Sinks and agents of the layer above ask for it. */
export interface TaskScope extends Scope {
  readonly kind: 'task';
  /** Id of the task. */
  readonly task: string;
  readonly partition: number;
  readonly processing: Processing;
  /** Aborts when the task is to end. */
  readonly signal: AbortSignal;
  /** The cell of the task's events. Agents that hold several events make their own. */
  readonly cell: ProcessingCell;
  /** Sends within the commit: with the event's key and time. */
  send(format: TopicFormat, value: unknown, event: EventCell | null): void;
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
      const value = cell === undefined ? undefined : store.read(cell);
      return value === undefined ? start() : (value as S);
    },
    set(event, value) {
      store.write(store.cell(keyOf(event)), value);
    },
  };
}

/** Key of the one row of an operator that sees no keys. */
const NO_KEY: KeyRef = { key: '', id: '', bytes: new Uint8Array() };
