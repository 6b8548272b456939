/**
 * A process of the simulated machine: it may die, be frozen and woken, and have its wall clock set.
 *
 * @module
 */
import type { Clock, Timer } from '../../src/core/clock.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import type { Item, Owner, Schedule } from './schedule.ts';

/** Wall clock at the beginning. */
export const START_MS: number = Date.UTC(2026, 0, 1);

export class Machine implements Owner {
  readonly number: number;
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly #schedule: Schedule;
  readonly #held: Item[] = [];
  /** What is to be done when it dies, by whoever survives. */
  readonly #heirs: (() => void)[] = [];
  dead = false;
  paused = false;
  /** When it was woken last. */
  wokeMs = 0;
  /** How far its wall clock is off, and was at most. */
  #jumpMs = 0;
  #mostJumpMs = 0;

  constructor(schedule: Schedule, number: number, name: string, seed: number) {
    this.#schedule = schedule;
    this.number = number;
    this.name = name;
    this.random = seededRandom(seed);
    this.clock = {
      boot: 'simulated',
      now: () => Math.floor(START_MS + schedule.nowMs + this.#jumpMs),
      monotonic: () => schedule.nowMs,
      turn: () => new Promise((resolve) => void schedule.soon(this, 'turn', resolve)),
      setTimer: (delayMs, fn): Timer => {
        const item = schedule.after(Math.max(0, delayMs), this, 'timer', fn);
        return {
          cancel: () => {
            item.go = undefined;
          },
        };
      },
    };
  }

  hold(item: Item): void {
    this.#held.push(item);
  }

  /** As SIGSTOP does: nothing of it goes on. */
  pause(): void {
    this.paused = true;
  }

  /** As SIGCONT does: what has completed meanwhile is heard of now. */
  wake(): void {
    this.paused = false;
    this.wokeMs = this.#schedule.nowMs;
    for (const item of this.#held.splice(0)) this.#schedule.again(item, this.#schedule.latency());
  }

  /** As SIGKILL does: no code of it ever runs again. */
  die(): void {
    if (this.dead) return;
    this.dead = true;
    this.#held.length = 0;
    for (const inherit of this.#heirs.splice(0)) inherit();
  }

  /** Its wall clock is set. */
  jump(byMs: number): void {
    this.#jumpMs += byMs;
    this.#mostJumpMs = Math.max(this.#mostJumpMs, this.#jumpMs);
  }

  /** The latest that its wall clock can have shown. */
  get latestMs(): number {
    return START_MS + this.#schedule.nowMs + this.#mostJumpMs;
  }

  onDeath(inherit: () => void): void {
    this.#heirs.push(inherit);
  }
}
