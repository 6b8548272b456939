/**
 * The one scheduler of a simulation: virtual time, and the order of everything that completes in it.
 *
 * Each completion (a commit, a message, a timer, a turn of an event loop) stands in one queue under the time at which it is due, which a seed
 * has drawn; a step takes the earliest, calls it, and runs the microtasks dry. What belongs to a process that is paused is kept until it wakes;
 * what belongs to one that is dead is dropped.
 *
 * @module
 */
import type { Random } from '../../src/core/random.ts';
import { drain } from './drain.ts';

/** Whom a completion belongs to. */
export interface Owner {
  readonly number: number;
  readonly dead: boolean;
  readonly paused: boolean;
  /** Keeps what completes while it is paused. */
  hold(item: Item): void;
}

/** What completes. Part of the trace. */
export type Kind = 'turn' | 'timer' | 'lock' | 'sync' | 'answer' | 'connect' | 'link' | 'plan';
const KINDS: Readonly<Record<Kind, number>> = {
  turn: 1,
  timer: 2,
  lock: 3,
  sync: 4,
  answer: 5,
  connect: 6,
  link: 7,
  plan: 8,
};

/** A completion that is due at some time. */
export interface Item {
  due: number;
  order: number;
  readonly kind: Kind;
  /** `undefined`: the simulation's own. */
  readonly owner: Owner | undefined;
  /** `undefined` once it is cancelled or done. */
  go: (() => void) | undefined;
}

/** How long completions take: fast mostly, and some much slower. In milliseconds. */
export interface Tempo {
  readonly fastMs: number;
  readonly slowMs: number;
  /** Of how many one is slow, from 0 to 1. */
  readonly slow: number;
}

/** Virtual time and the queue of what is due. Times are milliseconds since the start. */
export class Schedule {
  nowMs = 0;
  steps = 0;
  /** Of every decision so far. */
  hash = 0x811c9dc5;
  tempo: Tempo = { fastMs: 0.2, slowMs: 5, slow: 0.1 };
  readonly #random: Random;
  readonly #heap: Item[] = [];
  #order = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** How long the next completion takes. */
  latency(): number {
    const { fastMs, slowMs, slow } = this.tempo;
    const draw = this.#random.next();
    return draw < slow ? (draw / slow) * slowMs : ((draw - slow) / (1 - slow)) * fastMs;
  }

  /** After a time of its own. */
  soon(owner: Owner | undefined, kind: Kind, go: () => void): Item {
    return this.after(this.latency(), owner, kind, go);
  }

  after(delayMs: number, owner: Owner | undefined, kind: Kind, go: () => void): Item {
    const item: Item = { due: this.nowMs + delayMs, order: this.#order++, kind, owner, go };
    this.#push(item);
    return item;
  }

  /** What was kept for somebody who was paused comes again. */
  again(item: Item, delayMs: number): void {
    item.due = this.nowMs + delayMs;
    item.order = this.#order++;
    this.#push(item);
  }

  /** Takes one step. False when nothing is due until `untilMs`; time then stands there. */
  step(untilMs: number): boolean {
    for (;;) {
      const item = this.#heap[0];
      if (item === undefined || item.due > untilMs) {
        if (untilMs !== Infinity && untilMs > this.nowMs) this.nowMs = untilMs;
        return false;
      }
      this.#pop();
      const { owner, go } = item;
      if (go === undefined || owner?.dead === true) continue;
      if (owner?.paused === true) {
        owner.hold(item);
        continue;
      }
      if (item.due > this.nowMs) this.nowMs = item.due;
      item.go = undefined;
      this.steps++;
      this.mix(KINDS[item.kind] + 16 * ((owner?.number ?? -1) + 1));
      this.mix(Math.floor(this.nowMs * 1_000));
      go();
      drain();
      return true;
    }
  }

  /** Adds a number to the trace. */
  mix(value: number): void {
    this.hash = Math.imul(this.hash ^ (value | 0), 0x01000193);
  }

  #push(item: Item): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const above = heap[up] as Item;
      if (before(above, item)) break;
      heap[at] = above;
      at = up;
    }
    heap[at] = item;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Item;
    const { length } = heap;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= length) break;
      if (down + 1 < length && before(heap[down + 1] as Item, heap[down] as Item)) down++;
      const below = heap[down] as Item;
      if (before(last, below)) break;
      heap[at] = below;
      at = down;
    }
    heap[at] = last;
  }
}

function before(a: Item, b: Item): boolean {
  return a.due < b.due || (a.due === b.due && a.order < b.order);
}
