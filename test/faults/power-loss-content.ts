/** What `power-loss-child.ts` writes, and whether a disk holds what it must of that. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import type { Broker } from '../../src/broker/broker.ts';
import type { Frame } from '../../src/broker/frame.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { verifyDirectory } from '../../src/broker/verify.ts';
import { openBroker } from '../../src/broker/open.ts';
import { decodeKey, encodeKey } from '../../src/codec/key.ts';
import { utf8 } from '../../src/codec/utf8.ts';
import { checkpointPosition } from '../../src/state/checkpoint.ts';
import { recover } from '../../src/state/recovery.ts';
import { keyedRow, rowPrefixes } from '../../src/state/row-key.ts';
import { frameOf, realContext, textsOf } from '../broker/log-over.ts';

export const FRAME_RECORDS = 3;
/** The store, and the copies that are made of it, below the directory of a run. */
export const STORE = 'data';
export const backupName = (number: number): string => `backup-${number}`;

/** Rows of the task's table: frame by frame of what it has read, one after the other. */
const ROWS = 29;
const TABLE = 'rows';
const prefixes = rowPrefixes(TABLE);
export const CHANGELOG = 'changes';
/** Keys of the topic that is compacted. */
const KEYS = 17;
export const COMPACTED = 'keys';

/** The record at an offset of either topic: from a few bytes, in pages with others, to many pages. */
export function textAt(offset: number): string {
  const frame = Math.floor(offset / FRAME_RECORDS);
  return `${offset}:${String.fromCharCode(97 + (offset % 26)).repeat(((frame * 5) % 7) ** 2 * 300)}`;
}

const rowOf = (frame: number): string => `row-${frame % ROWS}`;
const keyOf = (offset: number): string => `key-${(offset * 7) % KEYS}`;

/** What a commit changes that has read the frames from number `from` to before number `to`. */
export function changesOf(from: number, to: number): Frame {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1 << 24 });
  for (let frame = from; frame < to; frame++)
    builder.add(
      1,
      keyedRow(prefixes, encodeKey(rowOf(frame))),
      utf8.encode(textAt(frame * FRAME_RECORDS)),
    );
  return builder.build();
}

/** Records of the topic that is compacted, from an offset on. */
export function keysFrom(offset: number): Frame {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: 1 << 24 });
  for (let i = 0; i < FRAME_RECORDS; i++)
    builder.add(1, encodeKey(keyOf(offset + i)), utf8.encode(textAt(offset + i)));
  return builder.build();
}

/** Ends of topics, by their names. */
type Ends = Readonly<Record<string, number>>;

/** What had been acknowledged: topics that are there, ends that are reached, what is cut off, and where a cut under way goes. */
export interface Told {
  readonly topics: readonly string[];
  readonly ends: Ends;
  readonly cut: Ends;
  readonly cutting: Ends;
  /** Position of the checkpoint. */
  readonly checkpoint: number;
  /** Ends at the beginning of each backup that is finished. */
  readonly backups: Readonly<Record<string, Ends>>;
}

export const nothingTold: Told = {
  ...{ topics: [], ends: {}, cut: {}, cutting: {} },
  ...{ checkpoint: 0, backups: {} },
};

/** Adds lines of the child to what was told before. */
export function heard(before: Told, lines: readonly (readonly string[])[]): Told {
  const topics = new Set(before.topics);
  const [ends, cut, cutting] = [{ ...before.ends }, { ...before.cut }, { ...before.cutting }];
  const backups: Record<string, Ends> = { ...before.backups };
  let { checkpoint } = before;
  for (const [word = '', name = '', ...rest] of lines)
    if (word === 'topic') topics.add(name);
    else if (word === 'cut') cut[name] = Number(rest[0]);
    else if (word === 'cutting') cutting[name] = Number(rest[0]);
    else if (word === 'end') ends[name] = Number(rest[0]);
    else if (word === 'checkpoint') checkpoint = Number(name);
    else if (word === 'backup') backups[name] = JSON.parse(rest[0] ?? '') as Ends;
  return { topics: [...topics], ends, cut, cutting, checkpoint, backups };
}

/** What the disk of a run that lost its power holds. Throws when anything is not as it must be. */
export async function checkContent(directory: string, told: Told): Promise<Told> {
  for (const name of Object.keys(told.backups))
    need(existsSync(join(directory, name)), `${name} is gone`);
  for (const name of existsSync(directory) ? readdirSync(directory) : [])
    // A target is never half a copy; what leads there may be.
    if (/^backup-\d+$/.test(name)) {
      const ends = told.backups[name] ?? {};
      await checkStore(join(directory, name), { ...told, ends, cut: {}, checkpoint: 0 }).catch(
        (error: unknown) => need(false, `${name}: ${(error as Error).message}`),
      );
    }
  const store = join(directory, STORE);
  if (told.topics.length === 0 && !existsSync(join(store, 'data.mdb'))) return nothingTold;
  return await checkStore(store, told);
}

async function checkStore(directory: string, told: Told): Promise<Told> {
  const url = `file:${directory}`;
  const report = await verifyDirectory(url, realContext());
  // Before the first transaction there is no row to be found.
  const empty = told.topics.length === 0;
  if (!report.ok && !(empty && report.topics === 0))
    throw new Error(`verify: ${JSON.stringify(report.problems.slice(0, 3))}`);
  const broker = await openBroker(url, realContext());
  try {
    const there = (await broker.topics()).map(({ name }) => name);
    for (const name of told.topics) need(there.includes(name), `topic ${name} is gone`);
    const found = { topics: there, ends: {}, cut: {}, cutting: {}, backups: {} } as {
      [name in 'ends' | 'cut' | 'cutting']: Record<string, number>;
    } & { topics: string[]; backups: Record<string, Ends> };
    for (const name of there) {
      const { start, end } = await broker.bounds(name, 0);
      need(end >= (told.ends[name] ?? 0), `${name} ends at ${end}`);
      found.ends[name] = end;
      if (name === COMPACTED || name === CHANGELOG) continue;
      need(start >= (told.cut[name] ?? 0), `${name} begins at ${start} again`);
      need(start <= (told.cutting[name] ?? 0), `${name} begins at ${start}`);
      const texts = await textsOf(broker, name);
      need(texts.length === end - start, `${name} has ${texts.length} records`);
      for (const [i, text] of texts.entries())
        need(text === textAt(start + i), `${name}@${start + i} is ${text.slice(0, 20)}`);
      found.cut[name] = start;
      found.cutting[name] = Math.max(start, told.cutting[name] ?? 0);
    }
    if (there.includes(COMPACTED)) await checkCompacted(broker);
    const checkpoint = await checkTask(broker, there, found.ends['out'] ?? 0);
    need(checkpoint >= told.checkpoint, `the checkpoint is at ${checkpoint} again`);
    if (!there.includes('in')) return { ...found, checkpoint };
    const producer = await broker.openProducer('loader');
    const end = found.ends['in'] ?? 0;
    need(producer.sequence * FRAME_RECORDS === end, `the producer stands at ${producer.sequence}`);
    // It can be written to.
    for (let i = 0; i < 5; i++)
      await broker.append([{ topic: 'in', partition: 0, frame: frameOf('after '.repeat(3000)) }]);
    need((await broker.bounds('in', 0)).end === end + 5, 'what is appended is not there');
    return { ...found, checkpoint };
  } finally {
    await broker.close();
  }
}

/** Each key has its last record, and none has another than it was given. */
async function checkCompacted(broker: Broker): Promise<void> {
  const { start, end } = await broker.bounds(COMPACTED, 0);
  need(start === 0, `${COMPACTED} begins at ${start}`);
  const seen = new Map<string, number>();
  const reader = broker.reader(COMPACTED, 0, 0);
  for (let view = await reader.next(); view !== undefined; view = await reader.next())
    for (let i = 0; i < view.count; i++) {
      const offset = view.baseOffset + i;
      const key = decodeKey(view.key(i) as Uint8Array);
      need(key === keyOf(offset), `${COMPACTED}@${offset} has key ${String(key)}`);
      const text = utf8.decode(view.value(i) as Uint8Array);
      need(text === textAt(offset), `${COMPACTED}@${offset} is ${text.slice(0, 20)}`);
      seen.set(keyOf(offset), offset);
    }
  for (let offset = Math.max(0, end - KEYS); offset < end; offset++)
    need(seen.get(keyOf(offset)) === offset, `the last record of ${keyOf(offset)} is gone`);
}

/** Position, meta and state of the task belong together. Returns the position of its checkpoint. */
async function checkTask(broker: Broker, there: readonly string[], end: number): Promise<number> {
  const task = (await broker.describeGroup('copier'))?.tasks[0];
  const position = task?.positions[0]?.offset ?? 0;
  need(position === end, `the task stands at ${position}`);
  const meta = task?.meta === undefined ? '0' : Buffer.from(task.meta).toString();
  need(meta === String(position), `the meta of the task says ${meta}`);
  if (task === undefined || !there.includes(CHANGELOG)) return 0;
  const { state } = await recover(broker, CHANGELOG, 0, task.stateId);
  const rows = new Map([...state.keyed(TABLE, utf8).rows()].map(([ref, row]) => [ref.key, row]));
  const frames = position / FRAME_RECORDS;
  need(rows.size === Math.min(frames, ROWS), `the table has ${rows.size} rows at ${position}`);
  for (let frame = Math.max(0, frames - ROWS); frame < frames; frame++)
    need(rows.get(rowOf(frame)) === textAt(frame * FRAME_RECORDS), `${rowOf(frame)} is another`);
  return checkpointPosition(broker.state, task.stateId) ?? 0;
}

function need(held: boolean, what: string): void {
  if (!held) throw new Error(what);
}
