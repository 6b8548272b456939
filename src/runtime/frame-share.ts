/**
 * Decoded frames that several tasks of a process read: decoded by the first that comes, taken over by the others.
 *
 * The last frames of each partition are kept: a few, and more if they are small, so that tasks which take turns find them. Tasks that are
 * further apart decode for themselves, which costs time and nothing else. Values are shared objects, as they are between the branches of one
 * graph.
 *
 * @module
 */
import type { DecodedFrame } from './format.ts';

/** Frames kept for each partition, however large they are. */
const FRAMES = 4;
/** Records kept for each partition, in however many frames: what a task takes in a few turns. */
const RECORDS = 4_096;

interface Slot {
  readonly count: number;
  readonly decoded: DecodedFrame;
}

/** Frames of one partition. */
interface Kept {
  /** By base offset, the one that was decoded first in front. */
  readonly slots: Map<number, Slot>;
  records: number;
}

/** What the tasks of a process have decoded lately, of the topics that more than one of them reads. */
export class FrameShare {
  readonly #topics: ReadonlySet<string>;
  readonly #partitions = new Map<string, Kept>();

  /** @param topics Those that are worth it. */
  constructor(topics: ReadonlySet<string>) {
    this.#topics = topics;
  }

  /** The decoded frame that begins at `baseOffset`, which `decode` makes if nobody has. */
  decoded(
    topic: string,
    partition: number,
    frame: { readonly baseOffset: number; readonly count: number },
    decode: () => DecodedFrame,
  ): DecodedFrame {
    if (!this.#topics.has(topic)) return decode();
    const key = `${topic}/${partition}`;
    let kept = this.#partitions.get(key);
    if (kept === undefined) {
      kept = { slots: new Map(), records: 0 };
      this.#partitions.set(key, kept);
    }
    const { baseOffset, count } = frame;
    const known = kept.slots.get(baseOffset);
    if (known?.count === count) return known.decoded;
    const decoded = decode();
    if (known !== undefined) drop(kept, baseOffset, known);
    kept.slots.set(baseOffset, { count, decoded });
    kept.records += count;
    for (const [offset, slot] of kept.slots) {
      if (kept.slots.size <= FRAMES || kept.records <= RECORDS) break;
      drop(kept, offset, slot);
    }
    return decoded;
  }
}

function drop(kept: Kept, offset: number, { count }: Slot): void {
  kept.slots.delete(offset);
  kept.records -= count;
}
