/**
 * The operator that applies each event to the rows of its windows.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { WindowStore } from '../state/store.ts';
import type { MakeOperator } from '../stream/operator.ts';
import { firstOpenStart, firstStart, lastStart } from '../window/assign.ts';
import type { WindowDefinition } from '../window/definition.ts';
import type { LiveCell } from './access.ts';
import { mustKey } from './definition.ts';
import { streamTimeOf } from './processing.ts';
import type { LateOutput } from './late.ts';

/** What it needs of its table. */
export interface WindowUpdate {
  readonly table: string;
  readonly window: WindowDefinition;
  readonly late: LateOutput;
  /** The cell of the event. @throws as `Table.get`. */
  readonly cell: () => LiveCell;
  readonly store: (cell: LiveCell) => WindowStore;
  /** What is stored for an event, given the row before, if there was one. */
  readonly next: (row: unknown, value: unknown) => unknown;
  /** Takes the time from the value instead of the event. */
  readonly at: ((value: unknown) => number) | undefined;
}

/**
 * Applies an event to each of its open windows, in the order of their ends, and passes on a change for each. What is behind is done with one
 * change before it gets the next.
 */
export function windowUpdate(update: WindowUpdate): MakeOperator {
  const { table, window, late, next, at } = update;
  const { sizeMs, stepMs } = window;
  return (output) => {
    let store: WindowStore | undefined;

    const apply = (
      from: number,
      last: number,
      ref: KeyRef,
      value: unknown,
      event: EventCell,
    ): void | Promise<void> => {
      for (let start = from; start <= last; start += stepMs) {
        const rows = store as WindowStore;
        const row = rows.cell(start, ref);
        const previous = rows.read(row, event.effects);
        const written = next(previous, value);
        rows.write(row, written, event.effects);
        const wait = output.next(
          { key: ref.key, value: written, previous, window: { start, end: start + sizeMs } },
          event,
        );
        if (wait === undefined) continue;
        const rest = start + stepMs;
        return rest > last ? wait : wait.then(() => apply(rest, last, ref, value, event));
      }
    };

    return (value, from) => {
      const cell = update.cell();
      const ref = mustKey(table, from);
      const event = from as EventCell;
      const time = at === undefined ? event.timestamp : at(value);
      if (!Number.isSafeInteger(time)) throw noTime(table, time);
      store ??= update.store(cell);
      const last = lastStart(window, time);
      const first = stepMs === sizeMs ? last : firstStart(window, time);
      const open = firstOpenStart(window, first, streamTimeOf(cell), store.closedTo);
      if (open === first) return apply(first, last, ref, value, event);
      const missed = { time, first, last: Math.min(open - stepMs, last) };
      const told = late.tell(cell, event, ref, value, missed);
      if (told === undefined) return apply(open, last, ref, value, event);
      return told.then(() => apply(open, last, ref, value, event));
    };
  };
}

function noTime(table: string, time: unknown): MillraceError {
  return new MillraceError(
    'MR_TIMESTAMP_INVALID',
    `the \`at\` function of update(${table}, …) gave ${String(time)}; return integer milliseconds since 1970`,
    { details: { table, timestamp: time } },
  );
}
