/**
 * Which task and which event a table is used by.
 *
 * Table methods are called by user code with nothing but a key, so the running task has to be found: in a synchronous section it is
 * {@link Processing.current}, which the task sets before and clears after; in asynchronous code it is the cell of the async context in
 * which the task called. The stream moves a cell from event to event and revokes it when its event is finished: a write that comes
 * later is an error, not a write to somebody else's event.
 *
 * @module
 */
import { AsyncLocalStorage } from 'node:async_hooks';

import type { Codec } from '../codec/codec.ts';
import type { Effects } from '../core/effects.ts';
import type { EventCell } from '../core/event.ts';
import type { KeyedStore, WindowStore } from '../state/store.ts';
import type { Receive, SinkPort } from '../stream/operator.ts';
import type { WindowDefinition } from '../window/definition.ts';

/** What a running task offers to tables. */
export interface TaskTables {
  readonly partition: number;
  /** Number of tasks of its sub-topology, which is the number of shards of its tables. */
  readonly partitions: number;
  /** Stream time of the task; -Infinity before anything is known. */
  readonly streamTime: number;
  /**
   * Rows expire `ttlMs` after they were written; `undefined` for never.
   *
   * @throws `MR_TABLE_OWNED` when tasks of another sub-topology hold the table's shards.
   */
  keyed(table: string, codec: Codec<unknown>, ttlMs?: number): KeyedStore;
  windowed(table: string, codec: Codec<unknown>, window: WindowDefinition): WindowStore;
  /** So many windows of a table were closed when an event came for them. Taken back with the event's effects. */
  late(table: string, windows: number, effects: Effects | null): void;
  /** Where the changes of a table go; `undefined` when nobody in the task takes them. */
  changes(table: string): Receive | undefined;
  /** A topic or agent as what takes values within the task's commit; the same one for the same target. */
  sink(target: SinkPort): Receive;
}

/** The event that user code is processing. */
export interface ProcessingCell {
  /** Whether other events of the task are processed at the same time: then a row of another key may only be changed by `update`. */
  readonly concurrent?: boolean | undefined;
  readonly tables: TaskTables;
  /** `null`: no event, or one that is finished. */
  event: EventCell | null;
  /** What synchronous methods have set going on behalf of the event; see {@link waitFor}. */
  waits?: Promise<void>[] | undefined;
  /**
   * Sends to a topic within the task's commit, on behalf of an event.
   *
   * @throws `MR_SEND_OUTSIDE` without one, `MR_ABORTED` when the task is gone.
   */
  readonly send: (
    event: EventCell | null,
    topic: string,
    value: unknown,
    options: SendWithin,
  ) => void;
}

/** How a record is sent from inside processing. */
export interface SendWithin {
  readonly key?: unknown;
  readonly timestamp?: number | undefined;
  readonly partition?: number | undefined;
  readonly headers?: Readonly<Record<string, string | Uint8Array>> | undefined;
}

/** Stream time as far as the event of `cell` is concerned: where several are under way, those behind it do not count. */
export function streamTimeOf(cell: ProcessingCell): number {
  return cell.event?.flight?.streamTime ?? cell.tables.streamTime;
}

/** The event of `cell` is not finished before `started` has settled, and fails if that rejects. */
export function waitFor(cell: ProcessingCell, started: Promise<void>): void {
  // Whoever finishes the event hears of it; until then it has no other handler.
  started.catch(() => undefined);
  (cell.waits ??= []).push(started);
}

/**
 * To be called when an event is about to be finished: resolves when everything given to {@link waitFor} has, more of it that came meanwhile
 * included; nothing when there is none.
 *
 * @throws the first error, when all have settled.
 */
export function settleWaits(cell: ProcessingCell): void | Promise<void> {
  if (cell.waits !== undefined) return settleAll(cell);
}

async function settleAll(cell: ProcessingCell): Promise<void> {
  let failure: PromiseRejectedResult | undefined;
  for (let waits = cell.waits; waits !== undefined; waits = cell.waits) {
    cell.waits = undefined;
    for (const one of await Promise.allSettled(waits))
      if (one.status === 'rejected') failure ??= one;
  }
  if (failure !== undefined) throw failure.reason;
}

/** Where tables get the cell of the code that calls them. */
export interface Finder {
  find(): ProcessingCell | undefined;
}

/** Finds the cell of the code that asks. One per app. */
export class Processing implements Finder {
  /** The cell of the synchronous section that is running, if any. Set and cleared within one turn. */
  current: ProcessingCell | undefined;
  readonly #context = new AsyncLocalStorage<ProcessingCell>();

  /** Runs `fn`, and all asynchronous work that it starts, with `cell`. */
  run<T>(cell: ProcessingCell, fn: () => T): T {
    return this.#context.run(cell, fn);
  }

  /** {@link Processing.run}, with the synchronous part of `fn` marked as such: tables find their cell without asking the context. */
  within<T>(cell: ProcessingCell, fn: () => T): T {
    const { current } = this;
    this.current = cell;
    try {
      return this.#context.run(cell, fn);
    } finally {
      this.current = current;
    }
  }

  find(): ProcessingCell | undefined {
    return this.current ?? this.#context.getStore();
  }
}
