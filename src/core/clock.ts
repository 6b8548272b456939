/**
 * Time comes in from outside: this file and `random.ts` are the only ones that ask the platform. A test passes a
 * {@link VirtualClock}, and nothing sleeps.
 *
 * @module
 */
import { MillraceError } from './errors.ts';

/** A timer that has been set. */
export interface Timer {
  /** Cancels it; harmless when it has fired. */
  cancel(): void;
}

/** The one source of time of a broker, worker or pipeline. */
export interface Clock {
  /** Wall clock, integer milliseconds since 1970; may jump either way. For timestamps only. */
  now(): number;
  /** Milliseconds from an unknown start, never backwards. For deadlines and rates. */
  monotonic(): number;
  /** Calls `fn` once, not before `delayMs` have passed. A real timer does not keep the process alive when `unref` is set. */
  setTimer(delayMs: number, fn: () => void, options?: { readonly unref?: boolean | undefined }): Timer;
  /** Resolves when other work that is ready (I/O, timers, messages) has had its turn. */
  turn(): Promise<void>;
}

/** The platform's clock. */
export function systemClock(): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimer(delayMs, fn, options) {
      const handle = setTimeout(fn, Math.min(delayMs, 2 ** 31 - 1));
      if (options?.unref === true) handle.unref();
      return { cancel: () => clearTimeout(handle) };
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

/**
 * Resolves after `delayMs` on `clock`.
 *
 * @throws {@link MillraceError} `MR_ABORTED` when `signal` aborts first.
 */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(abortError(signal));
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(abortError(signal));
    };
    const timer = clock.setTimer(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The error of a wait that `signal` ended. */
export function abortError(signal?: AbortSignal): MillraceError {
  return new MillraceError('MR_ABORTED', 'the wait was aborted by its signal', { cause: signal?.reason });
}

/** A clock that stands still until a test advances it. Starts at `now` (default 0) on both scales. */
export class VirtualClock implements Clock {
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  readonly #timers: { dueMs: number; order: number; fn: () => void }[] = [];

  constructor(now = 0) {
    this.#wallMs = now;
  }

  now(): number {
    return Math.floor(this.#wallMs);
  }

  monotonic(): number {
    return this.#monotonicMs;
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, delayMs), order: this.#order++, fn };
    this.#timers.push(timer);
    return {
      cancel: () => {
        const at = this.#timers.indexOf(timer);
        if (at >= 0) this.#timers.splice(at, 1);
      },
    };
  }

  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves time forward, firing due timers in order, and lets the work that each one starts run dry in between. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#monotonicMs + byMs;
    for (;;) {
      await this.turn();
      const next = this.#timers.toSorted((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#wallMs += next.dueMs - this.#monotonicMs;
      this.#monotonicMs = next.dueMs;
      next.fn();
    }
    this.#wallMs += untilMs - this.#monotonicMs;
    this.#monotonicMs = untilMs;
    await this.turn();
  }

  /** Makes the wall clock jump, as an administrator or NTP does; the monotonic scale does not move. */
  jump(byMs: number): void {
    this.#wallMs += byMs;
  }
}
