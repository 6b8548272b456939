import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { FrameView } from '../../src/broker/frame-view.ts';
import { keyRef } from '../../src/codec/key.ts';
import { rawOf } from '../../src/state/cell.ts';
import type { Cell } from '../../src/state/cell.ts';
import { readRow } from '../../src/state/row-key.ts';
import { TaskState } from '../../src/state/task-state.ts';
import { expectError } from '../codec/support.ts';
import { change, codec, commitOf, contents, Modelled, replayed } from './support.ts';

const a = keyRef('a');
const b = keyRef('b');

describe('stores', () => {
  test('are made at their first use and stay the same', () => {
    const state = new TaskState();
    expect(state.names()).toEqual([]);
    const rows = state.keyed('rows', codec);
    const windows = state.windowed('windows', codec);
    expect(state.keyed('rows', codec)).toBe(rows);
    expect(state.windowed('windows', codec)).toBe(windows);
    expect(state.names()).toEqual(['rows', 'windows']);
  });

  test('count their rows', () => {
    const state = new TaskState();
    const rows = state.keyed('rows', codec);
    const windows = state.windowed('windows', codec);
    rows.write(rows.cell(a), 1);
    windows.write(windows.cell(0, a), 1);
    windows.write(windows.cell(10, a), 1);
    expect([state.rows, state.dirtyRows]).toEqual([3, 3]);
    commitOf(state);
    expect([state.rows, state.dirtyRows]).toEqual([3, 0]);
  });

  test('that are stored with windows cannot be used without, nor the other way round', () => {
    const written = new TaskState();
    const rows = written.keyed('rows', codec);
    rows.write(rows.cell(a), 1);
    const windows = written.windowed('windows', codec);
    windows.write(windows.cell(0, a), 1);
    const state = replayed([commitOf(written)]);
    const text =
      /table (rows|windows) is stored with windows and used without, or the other way round; .*raise the app's version/;
    expectError('MR_TOPOLOGY_CHANGED', () => state.windowed('rows', codec), text);
    expectError('MR_TOPOLOGY_CHANGED', () => state.keyed('windows', codec), text);
    expect(state.names()).toEqual(['rows', 'windows']);
  });

  test('a name that is a property of every object is a name like others', () => {
    const state = new TaskState();
    for (const name of ['__proto__', 'constructor']) {
      const rows = state.keyed(name, codec);
      rows.write(rows.cell(a), name);
    }
    const again = replayed([commitOf(state)]);
    expect(again.names()).toEqual(['__proto__', 'constructor']);
    expect([...again.keyed('__proto__', codec).rows()].map(([, value]) => value)).toEqual([
      '__proto__',
    ]);
  });
});

describe('a changelog frame', () => {
  test('is empty when nothing changed', () => {
    const state = new TaskState();
    const rows = state.keyed('rows', codec);
    expect(commitOf(state)).toBeUndefined();
    rows.cell(a);
    expect(commitOf(state)).toBeUndefined();
    rows.write(rows.cell(a), 1);
    expect(commitOf(state)?.count).toBe(1);
    expect(commitOf(state)).toBeUndefined();
  });

  test('holds each changed row once, and the mark of expiry before the rows of its table', () => {
    const state = new TaskState();
    const windows = state.windowed('windows', codec);
    windows.write(windows.cell(0, a), 1);
    commitOf(state);
    windows.write(windows.cell(10, a), 2);
    windows.write(windows.cell(10, a), 3);
    windows.write(windows.cell(0, b), 4);
    windows.expire(10);
    const frame = commitOf(state) as FrameView;
    const rows = Array.from({ length: frame.count }, (_, i) => {
      const { start, expired } = readRow(frame.key(i) as Uint8Array);
      return [expired ? 'expired' : 'row', start];
    });
    expect(rows).toEqual([
      ['expired', 10],
      ['row', 10],
    ]);
  });

  test('does not stay in memory through the rows that came from it', () => {
    const written = new TaskState();
    const rows = written.keyed('rows', codec);
    for (const key of ['a', 'b']) rows.write(rows.cell(keyRef(key)), 'x'.repeat(100));
    const frame = commitOf(written) as FrameView;
    const state = replayed([frame]);
    const cell = state.keyed('rows', codec).find(a) as Cell;
    const raw = rawOf(cell);
    expect(raw.buffer).not.toBe(frame.bytes.buffer);
    // The values of a frame are one piece, with nothing else in it.
    expect(raw.buffer.byteLength).toBe(2 * raw.length);
    expect(cell.ref.bytes.buffer).not.toBe(frame.bytes.buffer);
  });

  test('is applied from an offset on', () => {
    const written = new TaskState();
    const rows = written.keyed('rows', codec);
    for (const key of ['a', 'b', 'c']) rows.write(rows.cell(keyRef(key)), key);
    const frame = commitOf(written, 100) as FrameView;
    const keysFrom = (from: number): unknown[] => {
      const state = new TaskState();
      state.applyFrame(frame, from);
      return [...state.keyed('rows', codec).rows()].map(([ref]) => ref.key);
    };
    expect(keysFrom(0)).toEqual(['a', 'b', 'c']);
    expect(keysFrom(100)).toEqual(['a', 'b', 'c']);
    expect(keysFrom(102)).toEqual(['c']);
    expect(keysFrom(103)).toEqual([]);
    expect(keysFrom(1_000)).toEqual([]);
  });
});

/** Commits the changes, cut at random; returns the frames and the model after the last commit. */
function commits(all: readonly (readonly Parameters<Modelled['apply']>[0][])[]): {
  frames: (FrameView | undefined)[];
  model: Modelled;
} {
  const model = new Modelled();
  let offset = 0;
  const frames = all.map((changes) => {
    for (const each of changes) model.apply(each);
    const frame = commitOf(model.state, offset);
    offset = frame?.end ?? offset;
    return frame;
  });
  return { frames, model };
}

const history = fc.array(fc.array(change, { maxLength: 12 }), { maxLength: 12, size: 'max' });

describe('replay', () => {
  test('of all frames gives the rows that were there', () => {
    fc.assert(
      fc.property(history, (all) => {
        const { frames, model } = commits(all);
        expect(contents(model.state)).toEqual(model.expected);
        expect(contents(replayed(frames))).toEqual(model.expected);
      }),
    );
  });

  test('goes on like the state that never stopped, wherever it is interrupted', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 12 }), (all, at) => {
        const model = new Modelled();
        const frames: (FrameView | undefined)[] = [];
        all.forEach((changes, n) => {
          // Changes after the last commit are lost with the process, in the model by not being made.
          if (n === at) model.state = replayed(frames);
          for (const each of changes) model.apply(each);
          frames.push(commitOf(model.state));
          expect(contents(model.state)).toEqual(model.expected);
        });
        expect(contents(replayed(frames))).toEqual(model.expected);
      }),
    );
  });

  test('of frames that were applied already does no harm, when it goes on to the end', () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 12 }), fc.nat({ max: 12 }), (all, x, y) => {
        const { frames, model } = commits(all);
        const state = replayed(frames.slice(0, Math.max(x, y)));
        for (const frame of frames.slice(Math.min(x, y)))
          if (frame !== undefined) state.applyFrame(frame);
        expect(contents(state)).toEqual(model.expected);
      }),
    );
  });
});
