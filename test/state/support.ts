/**
 * What the tests of state share: frames as a broker hands them out, and all rows of a state as plain data.
 *
 * @module
 */
import * as fc from 'fast-check';

import { place } from '../../src/broker/frame.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { FrameView } from '../../src/broker/frame-view.ts';
import type { Codec } from '../../src/codec/codec.ts';
import { json } from '../../src/codec/json.ts';
import { keyRef } from '../../src/codec/key.ts';
import type { KeyedStore, WindowStore } from '../../src/state/store.ts';
import { TaskState } from '../../src/state/task-state.ts';
import { text } from '../codec/support.ts';

export const codec: Codec<unknown> = json;

/** Keys that break maps, prefixes and limits. */
export const oddKeys: readonly unknown[] = [
  '__proto__',
  'constructor',
  '',
  '\0',
  'a',
  'A',
  'é',
  1,
  -1,
  1n,
  true,
  { a: 1, b: [2] },
  Uint8Array.of(),
  Uint8Array.of(0, 255, 1),
  'x'.repeat(8_192),
  `${'x'.repeat(8_191)}y`,
  new Uint8Array(8_192).fill(7),
];

/** Any key, odd ones often. */
export const key: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(...oddKeys),
  text,
  fc.integer(),
  fc.uint8Array({ maxLength: 8 }),
);

export function builder(): FrameBuilder {
  return new FrameBuilder({ text: false, maxRecordBytes: 1 << 26 });
}

/** What a commit would write, as it is read back; `undefined` when it would write nothing. */
export function commitOf(state: TaskState, baseOffset = 0): FrameView | undefined {
  const changelog = builder();
  state.takeDirty(changelog);
  return changelog.count === 0 ? undefined : view(changelog, baseOffset);
}

/** What a commit of one store writes, row by row. */
export function takeRows(
  store: KeyedStore | WindowStore,
  each: (rowKey: Uint8Array, value: Uint8Array | null) => void,
  commit = 0,
): void {
  const changelog = builder();
  store.takeDirty(changelog, commit);
  if (changelog.count === 0) return;
  const frame = view(changelog);
  for (let i = 0; i < frame.count; i++)
    each(frame.bytes.slice(frame.keyStart(i), frame.keyEnd(i)), frame.value(i));
}

function view(changelog: FrameBuilder, baseOffset = 0): FrameView {
  const { bytes } = changelog.build();
  place(bytes, baseOffset, 0);
  return FrameView.open(bytes, 'changelog', 0, baseOffset);
}

/** A state that is made of frames alone. */
export function replayed(frames: readonly (FrameView | undefined)[]): TaskState {
  const state = new TaskState();
  for (const frame of frames) if (frame !== undefined) state.applyFrame(frame);
  return state;
}

/** Rows of a keyed store by id. */
export function keyedRows(store: KeyedStore): Map<string, unknown> {
  return new Map([...store.rows()].map(([ref, value]) => [ref.id, value]));
}

/** Rows of a windowed store by start and id. Windows that hold nothing do not count. */
export function windowRows(store: WindowStore): Map<string, unknown> {
  const rows = new Map<string, unknown>();
  for (const start of store.starts(-Infinity, Infinity))
    for (const [ref, value] of store.rows(start)) rows.set(`${start}:${ref.id}`, value);
  return rows;
}

/** Id of a row of {@link windowRows}. */
export function windowId(start: number, rowKey: unknown): string {
  return `${start}:${keyRef(rowKey).id}`;
}

/** A change of the stores of a task. Starts below the bound of the model are left out: a table does not touch closed windows. */
export type Change =
  | { readonly op: 'keyed'; readonly key: unknown; readonly value: number | undefined }
  | {
      readonly op: 'windowed';
      readonly start: number;
      readonly key: unknown;
      readonly value: number | undefined;
    }
  | { readonly op: 'expire'; readonly by: number };

/** A state and, beside it, what it should hold. */
export class Modelled {
  state: TaskState = new TaskState();
  keyed: Map<string, unknown> = new Map<string, unknown>();
  windowed: Map<string, unknown> = new Map<string, unknown>();
  keptFrom: number = -Infinity;

  apply(change: Change): void {
    const windows = this.state.windowed('windows', codec);
    if (change.op === 'keyed') {
      const store = this.state.keyed('rows', codec);
      store.write(store.cell(keyRef(change.key)), change.value);
      set(this.keyed, keyRef(change.key).id, change.value);
    } else if (change.op === 'windowed') {
      if (change.start < this.keptFrom) return;
      windows.write(windows.cell(change.start, keyRef(change.key)), change.value);
      set(this.windowed, windowId(change.start, change.key), change.value);
    } else {
      this.keptFrom = Math.max(this.keptFrom, -60) + change.by;
      windows.expire(this.keptFrom);
      for (const id of this.windowed.keys())
        if (Number(id.slice(0, id.indexOf(':'))) < this.keptFrom) this.windowed.delete(id);
    }
  }

  /** What the state should hold, to be compared with {@link contents}. */
  get expected(): Contents {
    return { keyed: new Map(this.keyed), windowed: new Map(this.windowed) };
  }
}

/** All rows of the two stores that {@link Modelled} uses. */
export interface Contents {
  readonly keyed: ReadonlyMap<string, unknown>;
  readonly windowed: ReadonlyMap<string, unknown>;
}

export function contents(state: TaskState): Contents {
  return {
    keyed: keyedRows(state.keyed('rows', codec)),
    windowed: windowRows(state.windowed('windows', codec)),
  };
}

function set(rows: Map<string, unknown>, id: string, value: unknown): void {
  if (value === undefined) rows.delete(id);
  else rows.set(id, value);
}

/** Long keys, some of which differ only behind the first 1,000 bytes. */
const longKeys = [990, 1_000, 1_001, 2_000, 8_192].flatMap((length) =>
  ['', 'a', 'b'].map((end) => 'k'.repeat(length) + end),
);
const fewKeys = fc.oneof(
  fc.constantFrom<unknown>('a', 'b', '__proto__', 1, Uint8Array.of(1)),
  fc.constantFrom<unknown>(...oddKeys),
  fc.constantFrom<unknown>(...longKeys),
);
const value = fc.option(fc.nat(), { nil: undefined, freq: 3 });
const windowStart = fc.integer({ min: -5, max: 12 }).map((n) => n * 10);

/** One change; now and then windows expire. */
export const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('keyed' as const), key: fewKeys, value }) },
  {
    weight: 5,
    arbitrary: fc.record({
      op: fc.constant('windowed' as const),
      start: windowStart,
      key: fewKeys,
      value,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('expire' as const), by: fc.nat({ max: 35 }) }),
  },
);
