/**
 * The windowed tables of a task: which are open, what closes when stream time moves, what is kept no longer.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import type { EventCell } from '../core/event.ts';
import type { WindowStore } from '../state/store.ts';
import type { TaskState } from '../state/task-state.ts';
import type { Receive } from '../stream/operator.ts';
import { keptFrom } from '../window/assign.ts';
import type { WindowDefinition } from '../window/definition.ts';

interface OpenTable {
  readonly store: WindowStore;
  readonly window: WindowDefinition;
  /** Takes the results of closed windows, if somebody wants them. */
  readonly closed: Receive | undefined;
}

/**
 * Windowed tables by name. Windows are closed when the task commits and not with each event: whether an event is late is decided event
 * by event, so a window's rows are final from the moment that stream time has passed it.
 */
export class TaskWindows {
  readonly #state: TaskState;
  readonly #tables = new Map<string, OpenTable>();
  /** Of tables that have not been opened in this life too. */
  readonly #saved: ReadonlyMap<string, number>;

  /** `saved` is what the last commit saved. */
  constructor(state: TaskState, saved: Readonly<Record<string, number>>) {
    this.#state = state;
    this.#saved = new Map(Object.entries(saved));
  }

  /** What a commit saves: how far each table has been closed. */
  save(): Record<string, number> {
    const saved = new Map(this.#saved);
    for (const [name, { store }] of this.#tables)
      if (Number.isFinite(store.closedTo)) saved.set(name, store.closedTo);
    return Object.fromEntries(saved);
  }

  /** The store of a table; `closed` is looked at only when it is opened for the first time. */
  open(
    table: string,
    codec: Codec<unknown>,
    window: WindowDefinition,
    closed: () => Receive | undefined,
  ): WindowStore {
    let open = this.#tables.get(table);
    if (open === undefined) {
      const store = this.#state.windowed(table, codec);
      store.closedTo = this.#saved.get(table) ?? -Infinity;
      open = { store, window, closed: closed() };
      this.#tables.set(table, open);
    }
    return open.store;
  }

  /**
   * Sends the results of windows that stream time has passed, one after the other, and forgets those that are past their retention.
   * `event` is pointed at each result in turn. Returns a promise if one of them takes time.
   */
  close(streamTime: number, event: EventCell): void | Promise<void> {
    const results = this.#results(streamTime, event);
    // Not `for of`: to leave it would end the generator.
    for (let next = results.next(); next.done !== true; next = results.next())
      if (next.value !== undefined) return goOn(next.value, results);
  }

  /** Sends one result with each step, and gives what is to be waited for before the next. */
  *#results(streamTime: number, event: EventCell): Generator<void | Promise<void>> {
    for (const [name, { store, window, closed }] of this.#tables) {
      const below = streamTime - window.graceMs;
      if (closed !== undefined && below > store.closedTo) {
        for (const start of store.starts(
          store.closedTo - window.sizeMs + 1,
          below - window.sizeMs + 1,
        )) {
          const end = start + window.sizeMs;
          for (const [ref, value] of store.rows(start)) {
            event.topic = name;
            event.timestamp = end - 1;
            event.key = ref;
            yield closed({ key: ref.key, window: { start, end }, value }, event);
          }
        }
      }
      store.closedTo = Math.max(store.closedTo, below);
      store.expire(keptFrom(window, streamTime));
    }
  }
}

async function goOn(first: Promise<void>, results: Iterable<void | Promise<void>>): Promise<void> {
  await first;
  for (const wait of results) await wait;
}
