/**
 * What `power-loss-recorder.c` has written down, and the disks that a loss of power could have left of it.
 *
 * The model of files: a write is on the disk for certain when a sync of its file that began after it has returned, or when it was made through a
 * descriptor that syncs and has returned. Of all other writes each sector of 512 bytes is on the disk, or it is not, whatever became of its
 * neighbours and of earlier writes; a sector itself is never torn. A file is as long as what is there of it, or as long as it would have become.
 *
 * The model of names: that one was made, changed or removed is on the disk for certain when a sync of the directory that it is in now (of a name
 * that is gone: was in) which began after it has returned. Of the others in that directory the first few are there, up to some point; what became of those in
 * other directories does not matter. A change of name is whole or not there.
 */
import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

import type { Random } from '../../../src/core/random.ts';

const SECTOR_BYTES = 512;
const EVENT_BYTES = 32;

const kinds = [
  'none',
  'write',
  'made',
  'sync',
  'synced',
  'mkdir',
  'rmdir',
  'unlink',
  'rename',
  'line',
  'unknown',
] as const;

export interface DiskEvent {
  readonly kind: (typeof kinds)[number];
  /** Below the directory that was looked at. */
  readonly path: string;
  /** Of the write or sync that it is about. Otherwise its own. */
  readonly number: number;
  /** Place in the file. */
  readonly at: number;
  readonly bytes: Buffer;
}

export function readRecord(path: string): DiskEvent[] {
  const record = readFileSync(path);
  const events: DiskEvent[] = [];
  const take = (from: number, length: number): Buffer => record.subarray(from, from + length);
  for (let from = 0; from < record.length;) {
    const [pathLength, length] = [record.readUInt32LE(from + 4), record.readUInt32LE(from + 8)];
    const kind = kinds[record.readUInt32LE(from)];
    if (kind === undefined) throw new Error(`event ${events.length} is of no kind`);
    const number = Number(record.readBigUInt64LE(from + 16));
    const at = Number(record.readBigUInt64LE(from + 24));
    from += EVENT_BYTES;
    const name = take(from, pathLength).toString();
    events.push({ kind, path: name, number, at, bytes: take(from + pathLength, length) });
    from += pathLength + length;
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

/** Files by their paths. */
export type Files = ReadonlyMap<string, Buffer>;

/** A disk after a loss of power. */
export interface DiskImage {
  readonly files: Files;
  /** Sectors that were not certain to be there, and are not, of how many. */
  readonly lost: number;
  readonly sectors: number;
  /** Changes of names that were not certain to be there, and are not, of how many. */
  readonly lostNames: number;
  readonly names: number;
}

interface File {
  readonly base: Buffer;
  readonly writes: { readonly number: number; readonly at: number; readonly bytes: Buffer }[];
  /** The number of the last sync that began and has returned. */
  synced: number;
}

/** A change of names: of a file that begins with its first write, if there is one. */
interface Naming {
  readonly kind: 'create' | 'mkdir' | 'rmdir' | 'unlink' | 'rename';
  readonly number: number;
  readonly path: string;
  readonly to: string;
  readonly file: File | undefined;
  /** The directory whose sync makes it certain. */
  readonly directory: string;
}

/** Names of files, and of directories that stand for nothing. */
class Names {
  readonly #all = new Map<string, File | undefined>();

  constructor(base: ReadonlyMap<string, File>) {
    for (const [path, file] of base) {
      for (let up = posix.dirname(path); up !== '.'; up = posix.dirname(up))
        this.#all.set(up, undefined);
      this.#all.set(path, file);
    }
  }

  file(path: string): File | undefined {
    return this.#all.get(path);
  }

  /** Leaves out what cannot be, since the names that it would be about are not there. */
  apply({ kind, path, to, file }: Naming): void {
    const there = this.#all.has(path);
    if (kind === 'create' || kind === 'mkdir') {
      if (!there && this.#holds(path)) this.#all.set(path, file);
    } else if (kind === 'rename') {
      if (there && this.#holds(to)) this.#move(path, to);
    } else this.#all.delete(path);
  }

  *files(): Generator<[path: string, file: File]> {
    for (const [path, file] of this.#all) if (file !== undefined) yield [path, file];
  }

  #holds(path: string): boolean {
    const directory = posix.dirname(path);
    return directory === '.' || this.#all.has(directory);
  }

  #move(from: string, to: string): void {
    for (const [path, file] of [...this.#all])
      if (path === from || path.startsWith(`${from}/`)) {
        this.#all.delete(path);
        this.#all.set(to + path.slice(from.length), file);
      }
  }
}

/**
 * Whether the files are what the record says. A write is noted before it is made, and the process may have been killed in between by another thread, so the
 * last write of each file may be missing, in whole or in part. Returns the path of one that differs.
 */
export function differsFrom(
  base: Files,
  events: readonly DiskEvent[],
  read: (path: string) => Buffer,
): string | undefined {
  for (const [path, file] of replay(base, events).names.files()) {
    const expected = bytesOf(file, file.writes, 0);
    const found = read(path);
    const last = file.writes.at(-1);
    const filled = Buffer.alloc(expected.length);
    found.copy(filled);
    if (last !== undefined) last.bytes.copy(filled, last.at);
    if (found.length > expected.length || !filled.equals(expected)) return path;
  }
  return undefined;
}

/**
 * The disk when the power fails after `cut` events, begun as `base`. `forgets`: so many of the last writes are not certain to be there, synced
 * or not, as on a disk that lies; for the proof that this would be noticed.
 */
export function imageOf(
  base: Files,
  events: readonly DiskEvent[],
  cut: number,
  random: Random,
  forgets = 0,
): DiskImage {
  const happened = events.slice(0, cut);
  const made = new Set(happened.filter(({ kind }) => kind === 'made').map(({ number }) => number));
  const writes = happened.filter(({ kind }) => kind === 'write');
  const firstForgotten = writes.at(-forgets - 1)?.number ?? 0;
  const { begun, namings, syncs } = replay(base, happened);

  const names = new Names(begun);
  const kept = keptNames(namings, syncs, random);
  for (const naming of kept) names.apply(naming);

  // All of them, none, whole writes or single sectors.
  const [whole, keep] = [random.below(2) === 0, [0, 0.1, 0.5, 0.9, 1][random.below(5)] as number];
  const full = random.below(2) === 0;
  let [lost, sectors] = [0, 0];
  const files = new Map<string, Buffer>();
  for (const [path, file] of names.files()) {
    const there: { readonly at: number; readonly bytes: Buffer }[] = [];
    let size = 0;
    for (const { number, at, bytes } of file.writes) {
      const certain = number < file.synced || made.has(number);
      if (certain && (forgets === 0 || number <= firstForgotten)) {
        there.push({ at, bytes });
        continue;
      }
      if (full) size = Math.max(size, at + bytes.length);
      const all = random.next() < keep;
      for (let from = at; from < at + bytes.length;) {
        const to = Math.min(from - (from % SECTOR_BYTES) + SECTOR_BYTES, at + bytes.length);
        sectors++;
        if (whole ? all : random.next() < keep)
          there.push({ at: from, bytes: bytes.subarray(from - at, to - at) });
        else lost++;
        from = to;
      }
    }
    files.set(path, bytesOf(file, there, size));
  }
  const open = namings.filter((naming) => !isCertain(naming, syncs)).length;
  return { files, lost, sectors, lostNames: namings.length - kept.length, names: open };
}

function bytesOf(
  { base }: File,
  writes: readonly { readonly at: number; readonly bytes: Buffer }[],
  leastSize: number,
): Buffer {
  const size = writes.reduce((most, { at, bytes }) => Math.max(most, at + bytes.length), leastSize);
  const image = Buffer.alloc(Math.max(size, base.length));
  base.copy(image);
  for (const { at, bytes } of writes) bytes.copy(image, at);
  return image;
}

interface Replayed {
  /** What was there before. */
  readonly begun: ReadonlyMap<string, File>;
  readonly namings: readonly Naming[];
  /** Number of the last sync of each directory that began and has returned. */
  readonly syncs: ReadonlyMap<string, number>;
  /** As they are in the end. */
  readonly names: Names;
}

/** Finds out which writes are to which file, whatever that was called, and what has become of names. */
function replay(base: Files, events: readonly DiskEvent[]): Replayed {
  const returned = new Set(
    events.filter(({ kind }) => kind === 'synced').map(({ number }) => number),
  );
  const begun = new Map([...base].map(([path, bytes]) => [path, newFile(bytes)]));
  const names = new Names(begun);
  const namings: Naming[] = [];
  const syncs = new Map<string, number>();
  const name = (naming: Omit<Naming, 'directory'>): void => {
    const directory = posix.dirname(naming.kind === 'rename' ? naming.to : naming.path);
    const all = { ...naming, directory: directory === '.' ? '' : directory };
    namings.push(all);
    names.apply(all);
  };
  for (const { kind, path, number, at, bytes } of events)
    if (kind === 'write') {
      if (names.file(path) === undefined)
        name({ kind: 'create', number, path, to: '', file: newFile(Buffer.alloc(0)) });
      const file = names.file(path);
      if (file === undefined) throw new Error(`${path} was written and has no directory`);
      file.writes.push({ number, at, bytes });
    } else if (kind === 'sync' && returned.has(number)) {
      const file = names.file(path);
      if (file === undefined) syncs.set(path, number);
      else file.synced = number;
    } else if (kind === 'mkdir' || kind === 'rmdir' || kind === 'unlink' || kind === 'rename')
      name({ kind, number, path, to: bytes.toString(), file: undefined });
  return { begun, namings, syncs, names };
}

function newFile(base: Buffer): File {
  return { base, writes: [], synced: 0 };
}

function isCertain({ number, directory }: Naming, syncs: ReadonlyMap<string, number>): boolean {
  // Numbers are in the order of events, those of syncs among them.
  return number < (syncs.get(directory) ?? 0);
}

/** What is certain, and of each directory the first few of the others. */
function keptNames(
  namings: readonly Naming[],
  syncs: ReadonlyMap<string, number>,
  random: Random,
): Naming[] {
  const left = new Map<string, number>();
  for (const { directory } of namings.filter((naming) => !isCertain(naming, syncs)))
    left.set(directory, (left.get(directory) ?? 0) + 1);
  for (const [directory, count] of left) left.set(directory, random.below(count + 1));
  return namings.filter((naming) => {
    if (isCertain(naming, syncs)) return true;
    const count = left.get(naming.directory) ?? 0;
    left.set(naming.directory, count - 1);
    return count > 0;
  });
}
