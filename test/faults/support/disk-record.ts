/**
 * What `power-loss-recorder.c` has written down, and the disks that a loss of power could have left of it.
 *
 * The model: a write is on the disk for certain when a sync that began after it has returned, or when it was made through a descriptor that
 * syncs and has returned. Of all other writes each sector of 512 bytes is on the disk, or it is not, whatever became of its neighbours and of
 * earlier writes; a sector itself is never torn. The file is as long as what is there of it, or as long as it would have become.
 */
import { readFileSync } from 'node:fs';

import type { Random } from '../../../src/core/random.ts';

const SECTOR_BYTES = 512;
const EVENT_BYTES = 24;

const kinds = [
  'none',
  'write',
  'made',
  'sync',
  'synced',
  'directory',
  'parent',
  'line',
  'unknown',
] as const;

export interface DiskEvent {
  readonly kind: (typeof kinds)[number];
  /** Of the write or sync that it is about. */
  readonly number: number;
  /** Place in the file. */
  readonly at: number;
  readonly bytes: Buffer;
}

export function readRecord(path: string): DiskEvent[] {
  const record = readFileSync(path);
  const events: DiskEvent[] = [];
  for (let from = 0; from < record.length;) {
    const length = record.readUInt32LE(from + 4);
    const kind = kinds[record.readUInt32LE(from)];
    if (kind === undefined) throw new Error(`event ${events.length} is of no kind`);
    const number = Number(record.readBigUInt64LE(from + 8));
    const at = Number(record.readBigUInt64LE(from + 16));
    from += EVENT_BYTES;
    events.push({ kind, number, at, bytes: record.subarray(from, from + length) });
    from += length;
  }
  return events;
}

/** The lines that had been said when `cut` events had happened, as words. */
export function linesOf(events: readonly DiskEvent[], cut: number): string[][] {
  return events
    .slice(0, cut)
    .filter(({ kind }) => kind === 'line')
    .flatMap(({ bytes }) => bytes.toString().trim().split('\n'))
    .map((line) => line.split(' '));
}

/** A disk after a loss of power. */
export interface DiskImage {
  readonly bytes: Buffer;
  /** Writes that were not certain to be there. */
  readonly open: number;
  /** Sectors of them that are not there, of how many. */
  readonly lost: number;
  readonly sectors: number;
}

/**
 * The disk when the power fails after `cut` events, begun as `base`. `forgets`: so many of the last writes are not certain to be there, synced
 * or not, as on a disk that lies; for the proof that this would be noticed.
 */
export function imageOf(
  base: Buffer,
  events: readonly DiskEvent[],
  cut: number,
  random: Random,
  forgets = 0,
): DiskImage {
  const happened = events.slice(0, cut);
  const certain = certainWrites(happened);
  const writes = happened.filter(({ kind }) => kind === 'write');
  const firstForgotten = writes.length - forgets;
  // All of them, none, whole writes or single sectors.
  const [whole, keep] = [random.below(2) === 0, [0, 0.1, 0.5, 0.9, 1][random.below(5)] as number];
  const full = random.below(2) === 0;
  const kept: { readonly at: number; readonly bytes: Buffer }[] = [];
  let [size, open, lost, sectors] = [base.length, 0, 0, 0];
  for (const [i, { number, at, bytes }] of writes.entries()) {
    if (certain.has(number) && i < firstForgotten) {
      kept.push({ at, bytes });
      size = Math.max(size, at + bytes.length);
      continue;
    }
    open++;
    if (full) size = Math.max(size, at + bytes.length);
    const all = random.next() < keep;
    for (let from = at; from < at + bytes.length;) {
      const to = Math.min(from - (from % SECTOR_BYTES) + SECTOR_BYTES, at + bytes.length);
      sectors++;
      if (whole ? all : random.next() < keep) {
        kept.push({ at: from, bytes: bytes.subarray(from - at, to - at) });
        size = Math.max(size, to);
      } else lost++;
      from = to;
    }
  }
  const image = Buffer.alloc(size);
  base.copy(image);
  for (const { at, bytes } of kept) bytes.copy(image, at);
  return { bytes: image, open, lost, sectors };
}

/** The numbers of the writes that cannot be lost any more. */
function certainWrites(events: readonly DiskEvent[]): Set<number> {
  const certain = new Set<number>();
  const returned = new Set<number>();
  for (const { kind, number } of events)
    if (kind === 'synced') returned.add(number);
    else if (kind === 'made') certain.add(number);
  let last = 0;
  for (const { kind, number } of events)
    if (kind === 'sync' && returned.has(number)) last = Math.max(last, number);
  // Numbers are in the order of events, those of syncs among them.
  for (const { kind, number } of events) if (kind === 'write' && number < last) certain.add(number);
  return certain;
}
