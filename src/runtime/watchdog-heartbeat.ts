/**
 * The heartbeat that a thread shows to another one: a count that moves while it is alive, and what it was last doing.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';

const LABEL_AT = 8;
/** Bytes of a label that are kept. */
const LABEL_BYTES = 240;

/** Both threads make one over the same buffer: the one that works beats, the other one reads. */
export class Heartbeat {
  readonly buffer: SharedArrayBuffer;
  readonly #numbers: Int32Array;
  readonly #label: Buffer;
  #last: string | undefined;

  /** @param buffer What the other thread's has; without one a new heartbeat begins. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(LABEL_AT + LABEL_BYTES)) {
    this.buffer = buffer;
    this.#numbers = new Int32Array(buffer, 0, 2);
    this.#label = Buffer.from(buffer, LABEL_AT);
  }

  /** One beat. A label is written only when it is another than before, and cut to 240 bytes. */
  beat(label?: string): void {
    Atomics.add(this.#numbers, 0, 1);
    if (label === undefined || label === this.#last) return;
    this.#last = label;
    Atomics.store(this.#numbers, 1, this.#label.write(label));
  }

  /** How many beats there have been, wrapping around at 2³². */
  get count(): number {
    return Atomics.load(this.#numbers, 0);
  }

  /** What was last written; empty before the first. May be torn while the other thread writes, which a stuck one does not. */
  get label(): string {
    return this.#label.toString('utf8', 0, Atomics.load(this.#numbers, 1));
  }
}

/** How many times the heartbeat is looked at, and beats, within the time after which its thread counts as stuck. */
export const LOOKS = 8;

/** See {@link watchHeartbeat}. */
export interface WatchOptions {
  readonly heartbeat: Heartbeat;
  readonly clock: Clock;
  readonly stuckAfterMs: number;
  /** Called once, when nothing has moved for at least `stuckAfterMs`. */
  readonly onStuck: (silentMs: number) => void;
}

/**
 * Looks at a heartbeat until it stands still for `stuckAfterMs`, which is found out up to a quarter of that later. Returns how to stop.
 *
 * Time in which the watcher itself did not run, since the process was frozen or the machine asleep, does not count: the other thread did not
 * run either.
 */
export function watchHeartbeat({
  heartbeat,
  clock,
  stuckAfterMs,
  onStuck,
}: WatchOptions): () => void {
  const everyMs = stuckAfterMs / LOOKS;
  let [count, lookedAtMs, silentMs] = [heartbeat.count, clock.monotonic(), 0];
  const look = (): void => {
    const nowMs = clock.monotonic();
    silentMs += Math.min(nowMs - lookedAtMs, 2 * everyMs);
    lookedAtMs = nowMs;
    const now = heartbeat.count;
    if (now !== count) [count, silentMs] = [now, 0];
    if (silentMs >= stuckAfterMs) onStuck(silentMs);
    else timer = clock.setTimer(everyMs, look);
  };
  let timer = clock.setTimer(everyMs, look);
  return () => timer.cancel();
}
