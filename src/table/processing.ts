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
import type { EventCell } from '../core/event.ts';
import type { KeyedStore, WindowStore } from '../state/store.ts';
import type { WindowDefinition } from '../window/tumbling.ts';

/** What a running task offers to tables. */
export interface TaskTables {
  readonly partition: number;
  /** Number of tasks of its sub-topology, which is the number of shards of its tables. */
  readonly partitions: number;
  /** Stream time of the task; -Infinity before anything is known. */
  readonly streamTime: number;
  /** @throws `MR_TABLE_OWNED` when tasks of another sub-topology hold the table's shards. */
  keyed(table: string, codec: Codec<unknown>): KeyedStore;
  windowed(table: string, codec: Codec<unknown>, window: WindowDefinition): WindowStore;
  /** An event came for a window that is closed. */
  late(table: string): void;
}

/** The event that user code is processing. */
export interface ProcessingCell {
  readonly tables: TaskTables;
  /** `null`: no event, or one that is finished. */
  event: EventCell | null;
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

/** Finds the cell of the code that asks. One per app. */
export class Processing {
  /** The cell of the synchronous section that is running, if any. Set and cleared within one turn. */
  current: ProcessingCell | undefined;
  readonly #context = new AsyncLocalStorage<ProcessingCell>();

  /** Runs `fn`, and all asynchronous work that it starts, with `cell`. */
  run<T>(cell: ProcessingCell, fn: () => T): T {
    return this.#context.run(cell, fn);
  }

  find(): ProcessingCell | undefined {
    return this.current ?? this.#context.getStore();
  }
}
