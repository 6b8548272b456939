/**
 * The hand-written limits: the least that a program has to do with the same frames. Nothing is stored, and nothing is exact after a crash.
 *
 * @module
 */
import { open } from 'lmdb';
import type { Database } from 'lmdb';

import { FrameView } from '../../src/broker/frame-view.ts';
import { homeOf } from '../../src/broker/log/rows.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { measured } from './figures.ts';
import type { Figures } from './figures.ts';

type Frames = Database<Buffer, Buffer>;

/** Some of the partitions: those with this remainder when divided by `of`. */
export interface Share {
  readonly remainder: number;
  readonly of: number;
}

/** Reads frames, decodes, counts by key in a `Map`. */
export async function countLimit(
  directory: string,
  keyOf: (value: never) => string,
  share: Share = { remainder: 0, of: 1 },
): Promise<Figures> {
  const frames = openFrames(directory);
  const counts = new Map<string, number>();
  return await measured((): number => {
    let seen = 0;
    for (const values of valuesOf(frames, share)) {
      for (const value of values) {
        const key = keyOf(value as never);
        counts.set(key, (counts.get(key) ?? 0) + 1);
      }
      seen += values.length;
    }
    return seen;
  });
}

/** Reads frames, decodes, and hands events one by one to a `for await` loop. */
export async function loopLimit(directory: string): Promise<Figures> {
  const frames = openFrames(directory);
  async function* each(): AsyncGenerator {
    for (const values of valuesOf(frames, { remainder: 0, of: 1 }))
      for (const value of values) yield value;
  }
  return await measured(async () => {
    let seen = 0;
    for await (const value of each()) if (value !== undefined) seen++;
    return seen;
  });
}

function openFrames(directory: string): Frames {
  const root = open({
    path: `${directory}/data.mdb`,
    noSubdir: true,
    overlappingSync: false,
    maxDbs: 16,
  });
  return root.openDB<Buffer, Buffer>('frames', { encoding: 'binary', keyEncoding: 'binary' });
}

function* valuesOf(frames: Frames, share: Share): Generator<unknown[]> {
  for (const key of frames.getKeys({})) {
    if (key.readUInt16BE(4) % share.of !== share.remainder) continue;
    const value = frames.get(key) as Buffer;
    const home = homeOf(key.readUInt32BE(0), key.readUInt16BE(4));
    const view = FrameView.open(value, 'limit', 0, value.readDoubleLE(16), home);
    if (!view.control) yield view.text ? view.json() : packed(view);
  }
}

function packed(view: FrameView): unknown[] {
  const { bytes } = view;
  const values: unknown[] = [];
  for (let i = 0; i < view.count; i++)
    values.push(msgpack.decodeAt?.(bytes, view.valueStart(i), view.valueEnd(i)));
  return values;
}
