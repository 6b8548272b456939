/**
 * The time of a test app. It stands still until a test moves it.
 *
 * There are two kinds of timers. Exact ones fire when time stands exactly where they are due: waits of operators, of retries, of programs.
 * Those of the {@link TestClock.background} belong to brokers and to workers with nothing to do, which look around every second; they may fire
 * late, as timers on a busy machine do, so that a week without events is not half a million looks.
 *
 * @module
 */
import { systemClock } from '../core/clock.ts';
import type { Clock, Timer } from '../core/clock.ts';

interface SetTimer {
  readonly dueMs: number;
  readonly order: number;
  readonly fn: () => void;
}

/** A clock that is moved from outside. Both scales are in milliseconds; the monotonic one begins at 0. */
export class TestClock implements Clock {
  readonly boot: string = 'virtual';
  /** The same time with timers that may fire late. */
  readonly background: Clock;
  /** Turns of the event loop are real. */
  readonly #platform: Clock = systemClock();
  readonly #offsetMs: number;
  readonly #exact = new Set<SetTimer>();
  readonly #late = new Set<SetTimer>();
  #monotonicMs = 0;
  #order = 0;
  #fired = 0;

  /** @param startMs Wall clock at the beginning, milliseconds since 1970. */
  constructor(startMs: number) {
    this.#offsetMs = startMs;
    this.background = {
      boot: this.boot,
      now: () => this.now(),
      monotonic: () => this.monotonic(),
      turn: () => this.turn(),
      setTimer: (delayMs, fn) => this.#set(this.#late, delayMs, fn),
    };
  }

  now(): number {
    return Math.floor(this.#offsetMs + this.#monotonicMs);
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    return this.#set(this.#exact, delayMs, fn);
  }

  turn(): Promise<void> {
    return this.#platform.turn();
  }

  /** How many timers of both kinds are set. */
  get timers(): number {
    return this.#exact.size + this.#late.size;
  }

  /** How many exact timers have fired. */
  get fired(): number {
    return this.#fired;
  }

  /** When the next exact timer is due, on the monotonic scale; Infinity when there is none. */
  get nextMs(): number {
    return dueMs(this.#exact);
  }

  /** The same of the background. */
  get nextBackgroundMs(): number {
    return dueMs(this.#late);
  }

  /** Moves to a time that is not in the past. Fires nothing. */
  moveTo(monotonicMs: number): void {
    this.#monotonicMs = Math.max(this.#monotonicMs, monotonicMs);
  }

  /** Fires every timer that is due now, in the order of their times; those that these set are for the next call. */
  fire(): void {
    const due = [...this.#exact, ...this.#late]
      .filter((timer) => timer.dueMs <= this.#monotonicMs)
      .toSorted((a, b) => a.dueMs - b.dueMs || a.order - b.order);
    for (const timer of due) {
      // One of those before may have cancelled it.
      if (this.#exact.delete(timer)) this.#fired++;
      else if (!this.#late.delete(timer)) continue;
      timer.fn();
    }
  }

  #set(timers: Set<SetTimer>, delayMs: number, fn: () => void): Timer {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, fn };
    timers.add(timer);
    return { cancel: () => void timers.delete(timer) };
  }
}

function dueMs(timers: ReadonlySet<SetTimer>): number {
  let least = Infinity;
  for (const timer of timers) least = Math.min(least, timer.dueMs);
  return least;
}
