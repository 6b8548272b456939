/**
 * Stream time: how far event time has surely come for a task. It decides when windows close, and which events are late.
 *
 * - On a source partition it is the largest event time seen.
 * - On a repartition topic it is the least of what its upstream tasks have reached at their commits. "The largest event
 *   time seen" would be wrong there: the tasks upstream advance at different speeds, and whatever the slower ones send
 *   would be late (on three million flights: 80 % of them).
 * - Over several inputs it is the least.
 *
 * Idle inputs and idle upstream tasks do not hold it back. It never goes backwards, and is saved with the commit.
 *
 * @module
 */

/** Stream time of one input partition, as it is saved. Times are `null` where nothing is known yet. */
export interface SavedInputTime {
  readonly topic: string;
  readonly time: number | null;
  /** For repartition topics: number of the upstream task, its time, and whether it is idle. */
  readonly upstream?:
    | readonly (readonly [task: number, time: number | null, idle: boolean])[]
    | undefined;
}

/** Stream time of one input. */
export interface InputTime {
  /** -Infinity before anything is known. Never goes backwards. */
  readonly now: number;
  /** An event of this input is about to be processed. */
  observe(timestamp: number): void;
  /** A frame of this input is about to be processed; what it says of its writer. */
  heard(upstream: number, streamTime: number, idle: boolean): void;
  save(): SavedInputTime;
  restore(saved: SavedInputTime): void;
}

/** Of a topic that anybody may write. */
export function sourceTime(topic: string): InputTime {
  let now = -Infinity;
  return {
    get now() {
      return now;
    },
    observe(timestamp) {
      if (timestamp > now) now = timestamp;
    },
    heard() {},
    save: () => ({ topic, time: finite(now) }),
    restore(saved) {
      now = saved.time ?? -Infinity;
    },
  };
}

/** Of a repartition topic that `upstreamTasks` tasks write. */
export function repartitionTime(topic: string, upstreamTasks: number): InputTime {
  const times = new Float64Array(upstreamTasks).fill(-Infinity);
  const idle = Array.from({ length: upstreamTasks }, () => false);
  let now = -Infinity;
  const settle = (): void => {
    let least = Infinity;
    let greatest = -Infinity;
    for (let i = 0; i < upstreamTasks; i++) {
      const time = times[i] as number;
      if (time > greatest) greatest = time;
      if (idle[i] !== true && time < least) least = time;
    }
    // When all are idle, nothing that was written is still on its way: the greatest has been reached.
    const reached = least === Infinity ? greatest : least;
    if (reached > now) now = reached;
  };
  return {
    get now() {
      return now;
    },
    observe() {},
    heard(upstream, streamTime, isIdle) {
      if (upstream < 0 || upstream >= upstreamTasks) return;
      if (streamTime > (times[upstream] as number)) times[upstream] = streamTime;
      idle[upstream] = isIdle;
      settle();
    },
    save: () => ({
      topic,
      time: finite(now),
      upstream: Array.from(times, (time, i) => [i, finite(time), idle[i] === true] as const),
    }),
    restore(saved) {
      now = saved.time ?? -Infinity;
      for (const [i, time, isIdle] of saved.upstream ?? []) {
        if (i >= upstreamTasks) continue;
        times[i] = time ?? -Infinity;
        idle[i] = isIdle;
      }
    },
  };
}

/** Stream time of a task: the least of its inputs that are not idle, never backwards. */
export class TaskTime {
  readonly inputs: readonly InputTime[];
  readonly #idle: boolean[];
  #now = -Infinity;

  constructor(inputs: readonly InputTime[]) {
    this.inputs = inputs;
    this.#idle = inputs.map(() => false);
  }

  /** -Infinity before anything is known. */
  get now(): number {
    return this.#now;
  }

  /** Takes over what the inputs know by now. */
  advance(): number {
    const only = this.inputs.length === 1 ? this.inputs[0] : undefined;
    const reached = only === undefined ? this.#least() : only.now;
    if (reached > this.#now) this.#now = reached;
    return this.#now;
  }

  /** Whether input `i` has been at its end for so long that it no longer holds the others back. */
  setIdle(i: number, idle: boolean): void {
    this.#idle[i] = idle;
  }

  #least(): number {
    let least = Infinity;
    let greatest = -Infinity;
    this.inputs.forEach((input, i) => {
      greatest = Math.max(greatest, input.now);
      if (this.#idle[i] !== true) least = Math.min(least, input.now);
    });
    return least === Infinity ? greatest : least;
  }

  /**
   * Continues from a saved task time. It does not take over what the inputs know: that may be further on, and windows in between
   * have not been closed yet.
   */
  restore(now: number | null): void {
    this.#now = now ?? -Infinity;
  }
}

function finite(time: number): number | null {
  return Number.isFinite(time) ? time : null;
}
