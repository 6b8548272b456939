/**
 * The state of one task: its stores, what a commit writes of them, and how they are rebuilt.
 *
 * A commit writes one changelog frame with the rows that changed. A checkpoint is a copy of the changelog up to some
 * position in the form of rows (`checkpoint.ts`). The state after a restart is the checkpoint with the rest of the changelog
 * applied on top; both hold whole values, so applying a row twice does no harm.
 *
 * A state that is given a base keeps a bounded number of rows in memory. Rows that the checkpoint does not have yet must stay, so the owner
 * tells it of commits and of checkpoints.
 *
 * @module
 */
import type { FrameBuilder } from '../broker/frame-builder.ts';
import type { FrameView } from '../broker/frame-view.ts';
import type { Codec } from '../codec/codec.ts';
import { keyIdAt } from '../codec/key.ts';
import { MillraceError } from '../core/errors.ts';
import type { StateBase } from './base.ts';
import type { RawRows } from './cell.ts';
import { FrameRows } from './frame-rows.ts';
import { Horizon } from './horizon.ts';
import { KeyedStore } from './keyed-store.ts';
import type { Page } from './page.ts';
import { afterPrefix, EXPIRED, KEYED, readRow, readStart, rowPrefixes, TIMED } from './row-key.ts';
import { TimedStore } from './timed-store.ts';
import { WindowStore } from './window-store.ts';

/** Where the rows of a state are, besides memory. */
export interface StateStorage {
  /** How many rows memory should hold at most. Rows that the checkpoint does not have stay above that. At least 1. */
  readonly cacheRows: number;
  /** The checkpoint. */
  readonly base: StateBase;
  /** Whether the caller loads every row of the checkpoint before the state is used. */
  readonly complete: boolean;
}

/** A store and the beginning of its row keys. */
interface Route {
  readonly prefix: Buffer;
  readonly kind: number;
  readonly store: KeyedStore | WindowStore;
}

/** All stores of a task. */
export class TaskState {
  readonly #keyed = new Map<string, KeyedStore>();
  readonly #windowed = new Map<string, WindowStore>();
  readonly #storage: StateStorage | undefined;
  readonly #horizon: Horizon;
  readonly #routes: Route[] = [];
  #lastRoute: Route | undefined;
  #streamTime: () => number = () => -Infinity;

  /** Without `storage` all rows are in memory. */
  constructor(storage?: StateStorage) {
    this.#storage = storage;
    this.#horizon = new Horizon(storage !== undefined);
    if (storage === undefined || storage.complete) return;
    for (const { store, start, timed } of storedStores(storage.base))
      if (!Number.isNaN(start)) this.#windowedStore(store, false);
      else this.#keyedStore(store, timed, false);
  }

  /**
   * The keyed store of that name, made at its first use. With `ttlMs` its rows expire so many milliseconds after their last write, see
   * {@link TaskState.follow}. Rows that were stored with a time to live keep their times when it is left out, and do not expire.
   *
   * @throws `MR_TOPOLOGY_CHANGED` when rows are stored under the name with windows, or without times although there is a `ttlMs`.
   */
  keyed(name: string, codec: Codec<unknown>, ttlMs?: number): KeyedStore {
    const timed = ttlMs !== undefined || this.#keyed.get(name) instanceof TimedStore;
    const store = this.#keyedStore(name, timed);
    store.use(codec);
    if (store instanceof TimedStore && ttlMs !== undefined) store.live(ttlMs);
    return store;
  }

  /** Says where the stream time of the task is read, milliseconds since 1970: by it rows expire for who reads them. */
  follow(streamTime: () => number): void {
    this.#streamTime = streamTime;
  }

  /** The windowed store of that name, made at its first use. Same errors. */
  windowed(name: string, codec: Codec<unknown>): WindowStore {
    const store = this.#windowedStore(name);
    store.use(codec);
    return store;
  }

  /** Names of the stores that hold rows or have been used. */
  names(): readonly string[] {
    return [...this.#keyed.keys(), ...this.#windowed.keys()];
  }

  /** Rows that the next commit will write. */
  get dirtyRows(): number {
    let rows = 0;
    for (const store of this.#stores()) rows += store.dirtyRows;
    return rows;
  }

  /** Rows in memory. */
  get rows(): number {
    let rows = 0;
    for (const store of this.#stores()) rows += store.size;
    return rows;
  }

  /** Rows of one store in memory. */
  rowsOf(name: string): number {
    return (this.#keyed.get(name) ?? this.#windowed.get(name))?.size ?? 0;
  }

  /** So many rows wait for a checkpoint that memory cannot be kept within its bound: one should be taken now. */
  get wantsCheckpoint(): boolean {
    const { pinnedRows } = this.#horizon;
    if (this.#storage === undefined || pinnedRows * 2 <= this.#storage.cacheRows) return false;
    return this.rows > this.#storage.cacheRows;
  }

  /**
   * Deletes rows of stores with a time to live that have expired at `streamTime`; looks at up to `limit` in each. Call it between events. Returns
   * how many were deleted.
   */
  expire(streamTime: number, limit: number): number {
    let deleted = 0;
    for (const store of this.#keyed.values())
      if (store instanceof TimedStore) deleted += store.expire(streamTime, limit);
    return deleted;
  }

  /** Adds every dirty row to `changelog` and calls it clean. Call it between events. */
  takeDirty(changelog: FrameBuilder): void {
    const before = changelog.count;
    const commit = this.#horizon.begin();
    for (const store of this.#stores()) store.takeDirty(changelog, commit);
    if (changelog.count === before) this.#horizon.cancel();
    this.trim();
  }

  /** The commit of what {@link TaskState.takeDirty} gave is durable: its changelog frame ends at offset `end`. Told in the order of the commits. */
  committed(end: number): void {
    this.#horizon.committed(end);
  }

  /** The checkpoint stands at `position`. */
  checkpointed(position: number): void {
    if (this.#storage === undefined) return;
    this.#horizon.reached(position);
    for (const store of this.#stores()) store.clean();
    this.trim();
  }

  /** Lets go of rows that are too many for memory, as far as the checkpoint has them. Call it between events. */
  trim(): void {
    if (this.#storage === undefined) return;
    const { rows } = this;
    const excess = rows - this.#storage.cacheRows;
    if (excess <= 0) return;
    for (const store of this.#stores())
      if (store.size > 0) store.evict(Math.ceil((excess * store.size) / rows));
  }

  /** Applies the records of a changelog frame, from offset `from` on. Nothing of the frame is kept. */
  applyFrame(frame: FrameView, from = 0): void {
    const { bytes, count } = frame;
    const rows = new FrameRows(frame);
    const commit = this.#horizon.begin();
    this.#horizon.committed(frame.end);
    for (let i = Math.max(0, from - frame.baseOffset); i < count; i++)
      this.#load(bytes, frame.keyStart(i), frame.keyEnd(i), rows.has(i) ? rows : null, i, commit);
  }

  /** Applies the rows of a page of a checkpoint. The page is kept until the last of its rows has been read or replaced. */
  applyPage(page: Page): void {
    const { bytes, count } = page;
    for (let i = 0; i < count; i++) this.#load(bytes, page.keyStart(i), page.keyEnd(i), page, i, 0);
  }

  /** Applies one row of a checkpoint. `value` is kept. */
  apply(rowKey: Uint8Array, value: Uint8Array | null): void {
    const bytes = Buffer.from(rowKey.buffer, rowKey.byteOffset, rowKey.byteLength);
    this.#load(bytes, 0, bytes.length, value, -1, 0);
  }

  #load(
    bytes: Buffer,
    start: number,
    end: number,
    rows: RawRows | Uint8Array | null,
    i: number,
    commit: number,
  ): void {
    let route = this.#lastRoute;
    if (route === undefined || !beginsWith(bytes, start, route.prefix))
      route = this.#lastRoute = this.#routeOf(bytes, start, end);
    const at = start + route.prefix.length;
    if (route.store instanceof KeyedStore)
      route.store.loadId(keyIdAt(bytes, at, end), rows, i, commit);
    else if (route.kind === EXPIRED) route.store.loadExpired(readStart(bytes, at));
    else route.store.loadId(readStart(bytes, at), keyIdAt(bytes, at + 8, end), rows, i, commit);
  }

  #routeOf(bytes: Buffer, start: number, end: number): Route {
    let route = this.#routes.find(({ prefix }) => beginsWith(bytes, start, prefix));
    if (route === undefined) {
      const rowKey = bytes.subarray(start, end);
      const { store: name } = readRow(rowKey);
      const length = 2 + (rowKey[0] as number);
      const kind = rowKey[length - 1] as number;
      const store =
        kind === KEYED || kind === TIMED
          ? this.#keyedStore(name, kind === TIMED)
          : this.#windowedStore(name);
      route = { prefix: Buffer.from(rowKey.subarray(0, length)), kind, store };
      this.#routes.push(route);
    }
    return route;
  }

  *#stores(): Generator<KeyedStore | WindowStore> {
    yield* this.#keyed.values();
    yield* this.#windowed.values();
  }

  #keyedStore(name: string, timed: boolean, complete = true): KeyedStore {
    let store = this.#keyed.get(name);
    if (store === undefined) {
      if (this.#windowed.has(name)) throw kindChanged(name);
      const source = { base: this.#storage?.base, horizon: this.#horizon, complete };
      store = timed ? new TimedStore(name, source) : new KeyedStore(name, source);
      if (store instanceof TimedStore) store.follow(() => this.#streamTime());
      this.#keyed.set(name, store);
    } else if (store instanceof TimedStore !== timed) throw ttlChanged(name);
    return store;
  }

  #windowedStore(name: string, complete = true): WindowStore {
    let store = this.#windowed.get(name);
    if (store === undefined) {
      if (this.#keyed.has(name)) throw kindChanged(name);
      store = new WindowStore(name, {
        base: this.#storage?.base,
        horizon: this.#horizon,
        complete,
      });
      this.#windowed.set(name, store);
    }
    return store;
  }
}

/** The stores that have rows in a checkpoint, each found with one look. */
function* storedStores(
  base: StateBase,
): Generator<{ readonly store: string; readonly start: number; readonly timed: boolean }> {
  let from: Uint8Array = new Uint8Array();
  for (;;) {
    const rowKey = base.next(from);
    if (rowKey === undefined) return;
    const row = readRow(rowKey);
    yield row;
    const { keyed, windowed, timed } = rowPrefixes(row.store);
    from = afterPrefix(row.timed ? timed : Number.isNaN(row.start) ? keyed : windowed);
  }
}

function beginsWith(bytes: Buffer, start: number, prefix: Buffer): boolean {
  for (let i = 0; i < prefix.length; i++) if (bytes[start + i] !== prefix[i]) return false;
  return true;
}

function kindChanged(name: string): MillraceError {
  return new MillraceError(
    'MR_TOPOLOGY_CHANGED',
    `table ${name} is stored with windows and used without, or the other way round; give the new table another name, or raise the app's version to start afresh`,
    { details: { table: name } },
  );
}

function ttlChanged(name: string): MillraceError {
  return new MillraceError(
    'MR_TOPOLOGY_CHANGED',
    `table ${name} is stored without a ttl and used with one; give the new table another name, or raise the app's version to start afresh`,
    { details: { table: name } },
  );
}
