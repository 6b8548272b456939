/**
 * Moves the time of a test app, as little as is needed, and finds out when nothing will ever happen.
 *
 * Everything that is ready has its turn before time moves. What is ready cannot be asked for, so the driver looks at what has been achieved: when
 * that has not changed for some turns of the event loop, nothing is ready.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { TestClock } from './test-clock.ts';

/** Turns without any progress after which time moves on. */
const QUIET_TURNS = 8;
/** The same while user code has an event, which may wait for something real: a file, a socket. */
const PATIENT_TURNS = 200;
/** Turns without any progress, with user code at work, after which it is said to hang. */
const HANGING_TURNS = 10_000;
/** Turns of one wait in which something was stored. */
const MOST_STORING_TURNS = 10_000;
/** How far one wait may move time when nobody has asked for a time. */
const MOST_MOVED_MS = 3_600_000;
/** How many exact timers one wait may go to. */
const MOST_TIMERS = 500;
/** How far time moves for user code that hangs in something that no timer will end. */
const HANGING_MOVED_MS = 1_000;
/** The background is looked at the less often the longer nothing has happened: after a tenth of that time again, but at least so often. */
const LATEST_MS = 300_000;

/** What a driver looks at. */
export interface Sight {
  /** Grows with everything that is stored. Asked for at every turn. */
  readonly stored: () => number;
  /** Anything that differs when something was achieved for the app, be it stored or not; leases and the like do not count. */
  readonly work: () => string;
  /** Whether user code has an event that it has not finished. */
  readonly busy: () => boolean;
  /** What everybody is waiting for, for people. */
  readonly describe: () => string;
  /** Waits that are as long as this are not worth waiting for: they only end what hangs. Milliseconds. */
  readonly hangMs: number;
}

export class Driver {
  readonly #clock: TestClock;
  readonly #sight: Sight;

  constructor(clock: TestClock, sight: Sight) {
    this.#clock = clock;
    this.#sight = sight;
  }

  /**
   * Goes on until `done`, moving time when nothing else can happen.
   *
   * @throws `MR_STALLED` naming what is waited for when nothing happens any more, or when no end is in sight.
   */
  async until(done: () => boolean): Promise<void> {
    const clock = this.#clock;
    const startMs = clock.monotonic();
    let sinceMs = startMs;
    let seen = this.#seen();
    let work = this.#sight.work();
    let quiet = 0;
    let still = 0;
    let timers = 0;
    let movedMs = 0;
    let storing = 0;
    for (;;) {
      if (done()) return;
      clock.fire();
      await clock.turn();
      if (done()) return;
      const now = this.#seen();
      if (now !== seen && ++storing > MOST_STORING_TURNS) throw this.#endless(startMs);
      quiet = now === seen ? quiet + 1 : 0;
      still = now === seen ? still + 1 : 0;
      seen = now;
      if (quiet !== QUIET_TURNS && quiet !== PATIENT_TURNS) continue;
      const busy = this.#sight.busy();
      if (busy && quiet === QUIET_TURNS) continue;
      quiet = 0;
      if (busy && still >= HANGING_TURNS) throw this.#hanging();
      const worked = this.#sight.work();
      if (worked !== work) {
        work = worked;
        still = 0;
        sinceMs = clock.monotonic();
        continue;
      }
      const nowMs = clock.monotonic();
      const exactMs = clock.nextMs;
      const backgroundMs = this.#nextLook(sinceMs);
      if (exactMs === Infinity && backgroundMs === Infinity) {
        if (busy) continue;
        throw this.#hanging();
      }
      if (exactMs <= backgroundMs || (busy && exactMs - nowMs < this.#sight.hangMs)) {
        // While code waits for a time nobody has to look around.
        if (busy && exactMs - nowMs >= this.#sight.hangMs) continue;
        if (++timers > MOST_TIMERS) throw this.#endless(startMs);
        clock.moveTo(exactMs);
      } else {
        if (busy && backgroundMs - sinceMs > HANGING_MOVED_MS) continue;
        movedMs += backgroundMs - nowMs;
        if (movedMs > MOST_MOVED_MS) throw this.#endless(startMs);
        clock.moveTo(backgroundMs);
      }
    }
  }

  /** Moves time by `byMs`. What each timer starts is given its turns before time goes on. @throws as {@link Driver.until}. */
  async advance(byMs: number): Promise<void> {
    const clock = this.#clock;
    const untilMs = clock.monotonic() + byMs;
    let sinceMs = clock.monotonic();
    await this.quiet();
    let before = '';
    for (;;) {
      const stopMs = Math.min(clock.nextMs, this.#nextLook(sinceMs), untilMs);
      clock.moveTo(stopMs);
      await this.quiet();
      const after = `${this.#sight.work()} ${clock.fired}`;
      if (after !== before) sinceMs = clock.monotonic();
      before = after;
      if (stopMs >= untilMs) return;
    }
  }

  /** Lets everything that is ready have its turn. */
  async quiet(): Promise<void> {
    const clock = this.#clock;
    let seen = this.#seen();
    for (let quiet = 0, storing = 0; quiet < QUIET_TURNS; quiet++) {
      clock.fire();
      await clock.turn();
      const now = this.#seen();
      if (now === seen) continue;
      if (++storing > MOST_STORING_TURNS) throw this.#endless(clock.monotonic());
      seen = now;
      quiet = 0;
    }
  }

  /** Grows with everything that is stored, and with every timer. */
  #seen(): number {
    return this.#sight.stored() + this.#clock.fired;
  }

  /** When the background should be looked at again if nothing has happened since `sinceMs`. */
  #nextLook(sinceMs: number): number {
    const nowMs = this.#clock.monotonic();
    const lateMs = Math.min((nowMs - sinceMs) / 10, LATEST_MS);
    return Math.ceil(Math.max(this.#clock.nextBackgroundMs, nowMs + lateMs));
  }

  #hanging(): MillraceError {
    return new MillraceError(
      'MR_STALLED',
      `the app does not settle: ${this.#sight.describe()}. Virtual time cannot help: look for a promise that never settles, or for a wait on the platform's timers or I/O (setTimeout, fetch, a file); have the code under test wait on the clock of the test app, and give it a stand-in for what is outside`,
    );
  }

  #endless(startMs: number): MillraceError {
    const movedMs = this.#clock.monotonic() - startMs;
    return new MillraceError(
      'MR_STALLED',
      `the app does not settle, and no end is in sight after ${movedMs} ms of virtual time: ${this.#sight.describe()}. Look for a topic that feeds itself, for a job that sends without end and without waiting, and for a failure that is tried again for ever`,
      { details: { movedMs } },
    );
  }
}
