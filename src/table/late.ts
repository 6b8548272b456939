/**
 * Late output: what becomes of events that came for windows that are closed.
 *
 * @module
 */
import { streamTimeOf } from './processing.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import type { SinkPort, SinkTarget, WindowInfo } from '../stream/operator.ts';
import { closesAt } from '../window/assign.ts';
import type { WindowDefinition } from '../window/definition.ts';
import { withKey } from './access.ts';
import type { LiveCell } from './access.ts';

/** An event that at least one of its windows was closed to. */
export interface LateEvent<K = unknown> {
  readonly table: string;
  readonly key: K;
  /** What the stream carried; `undefined` when an agent called the table's `update`. */
  readonly value: unknown;
  /** The time by which it was late, integer milliseconds since 1970: the event's, or what `at` gave. */
  readonly timestamp: number;
  /** The latest of the windows that did not take it. */
  readonly window: WindowInfo;
  /** How many windows did not take it; they end with `window`, one step apart. 1 where windows do not overlap. */
  readonly windows: number;
  /** How far stream time had passed the moment at which `window` closed, in milliseconds, from 0. */
  readonly lateByMs: number;
}

/** Windows of an event that are closed: from `first` to `last`, by their starts. */
export interface Missed {
  readonly time: number;
  readonly first: number;
  readonly last: number;
}

/** Counts and sends on what late events there are in a table. */
export class LateOutput {
  readonly #table: string;
  readonly #window: WindowDefinition;
  readonly #target: SinkTarget<never> | undefined;

  /** @throws `MR_OPTION_INVALID` for a target that is neither function, topic nor agent. */
  constructor(table: string, window: WindowDefinition, target: SinkTarget<never> | undefined) {
    if (target !== undefined && typeof target !== 'function' && !isPort(target))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `onLate of table ${table} is ${target === null ? 'null' : `a value of type ${typeof target}`}; give a function, a topic or an agent`,
        { details: { option: 'onLate', table } },
      );
    this.#table = table;
    this.#window = window;
    this.#target = target;
  }

  /** Tells of an event for closed windows. A promise when a function took time. `event` is the one behind it. */
  tell(
    cell: LiveCell,
    event: EventCell,
    ref: KeyRef,
    value: unknown,
    missed: Missed,
  ): void | Promise<void> {
    const { sizeMs, stepMs } = this.#window;
    const windows = (missed.last - missed.first) / stepMs + 1;
    cell.tables.late(this.#table, windows, event.effects);
    if (this.#target === undefined) return;
    const late: LateEvent = {
      table: this.#table,
      key: ref.key,
      value,
      timestamp: missed.time,
      window: { start: missed.last, end: missed.last + sizeMs },
      windows,
      // A window that was closed with a shorter grace may not have reached its present one.
      lateByMs: Math.max(0, streamTimeOf(cell) - closesAt(this.#window, missed.last)),
    };
    if (typeof this.#target !== 'function')
      return cell.tables.sink(this.#target as unknown as SinkPort)(late, withKey(event, ref));
    const result = (this.#target as (late: LateEvent) => unknown)(late);
    if (isPromise(result)) return result.then(() => undefined);
  }
}

function isPort(target: unknown): boolean {
  return typeof target === 'object' && target !== null && '~sink' in target;
}
