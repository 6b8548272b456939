/**
 * What compaction may do to a partition: drop a record that has a later one with its key, and nothing else. Records keep their offsets.
 *
 * @module
 */
import type { FrameView } from '../../src/broker/frame-view.ts';
import { Violation } from './violation.ts';

/** A frame that a transaction has written, or removed. */
export interface WrittenFrame {
  readonly base: number;
  readonly frame: FrameView | undefined;
}

export class Compacted {
  readonly #what: string;
  /** Ends of frames by their base offsets. */
  readonly #frames = new Map<number, number>();
  /** Records by offset: key and value. */
  readonly #records = new Map<number, string>();
  /** The last offset of each key. */
  readonly #last = new Map<string, number>();

  constructor(what: string) {
    this.#what = what;
  }

  appended(frame: FrameView): void {
    this.#add(frame);
    for (let i = 0; i < frame.count; i++) {
      const key = textOf(frame.key(i));
      if (key !== '') this.#last.set(key, frame.baseOffset + i);
    }
  }

  /** Frames below the end were written anew, or removed. @throws Violation when a record is lost by it, or is another one now. */
  rewritten(written: readonly WrittenFrame[]): void {
    const before = new Map<number, string>();
    for (const { base } of written) {
      const end = this.#frames.get(base) ?? base;
      this.#frames.delete(base);
      for (let offset = base; offset < end; offset++) {
        const record = this.#records.get(offset);
        if (record !== undefined) before.set(offset, record);
        this.#records.delete(offset);
      }
    }
    for (const { frame } of written) if (frame !== undefined) this.#add(frame);
    for (const [offset, record] of before) {
      const now = this.#records.get(offset);
      if (now === record) continue;
      const key = record.slice(0, record.indexOf('\0'));
      if (now !== undefined || (this.#last.get(key) ?? offset) <= offset)
        throw new Violation(
          'compaction',
          `record ${offset} of ${this.#what}, the last of key ${key}, is ${now === undefined ? 'gone' : 'another one'}`,
        );
    }
    for (const { frame } of written)
      for (let i = 0; i < (frame?.count ?? 0); i++)
        if (!before.has((frame as FrameView).baseOffset + i))
          throw new Violation('compaction', `${this.#what} has a record that nobody has sent`);
  }

  #add(frame: FrameView): void {
    this.#frames.set(frame.baseOffset, frame.end);
    for (let i = 0; i < frame.count; i++)
      this.#records.set(frame.baseOffset + i, `${textOf(frame.key(i))}\0${textOf(frame.value(i))}`);
  }
}

function textOf(bytes: Uint8Array | null): string {
  return bytes === null ? '' : Buffer.from(bytes).toString('latin1');
}
