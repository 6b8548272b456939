/**
 * Time comes in from outside: this file and `random.ts` are the only ones that ask the platform. A test passes a
 * {@link VirtualClock}, and nothing sleeps.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

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
  /**
   * Milliseconds from an unknown start, never backwards. For deadlines and rates. All processes of a machine that have the same
   * {@link boot} read one scale; a restart of the machine begins another.
   */
  monotonic(): number;
  /** Names the present run of the machine where the platform tells one run from another, else empty. */
  readonly boot: string;
  /** Calls `fn` once, not before `delayMs` have passed. A real timer does not keep the process alive when `unref` is set. */
  setTimer(
    delayMs: number,
    fn: () => void,
    options?: { readonly unref?: boolean | undefined },
  ): Timer;
  /** Resolves when other work that is ready (I/O, timers, messages) has had its turn. */
  turn(): Promise<void>;
}

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** The platform's clock. */
export function systemClock(): Clock {
  // `performance.now()` is the cheaper reading, `process.hrtime` the one that counts from a start that processes share.
  const [seconds, nanoseconds] = process.hrtime();
  const startMs = seconds * 1000 + nanoseconds / 1e6 - performance.now();
  let boot: string | undefined;
  return {
    now: () => Date.now(),
    monotonic: () => startMs + performance.now(),
    get boot() {
      return (boot ??= bootOfMachine());
    },
    setTimer(delayMs, fn, options) {
      const dueMs = performance.now() + delayMs;
      let handle: NodeJS.Timeout;
      const arm = (leftMs: number): void => {
        handle = setTimeout(fire, Math.min(Math.ceil(leftMs), MAX_TIMEOUT_MS));
        if (options?.unref === true) handle.unref();
      };
      const fire = (): void => {
        // The platform's timers end after 25 days, and at times a fraction of a millisecond early.
        const leftMs = dueMs - performance.now();
        if (leftMs > 0) arm(leftMs);
        else fn();
      };
      arm(Math.max(0, delayMs));
      return { cancel: () => clearTimeout(handle) };
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

/** Linux draws a new id at every start of the machine. What is told elsewhere follows the wall clock, which may be set. */
function bootOfMachine(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
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
  return new MillraceError('MR_ABORTED', 'the wait was aborted by its signal', {
    cause: signal?.reason,
  });
}

/** A clock that stands still until a test advances it. Starts at `now` (default 0) on both scales. */
export class VirtualClock implements Clock {
  readonly boot: string = 'virtual';
  #wallMs: number;
  #monotonicMs = 0;
  #order = 0;
  #advancing: Promise<void> = Promise.resolve();
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

  /** How many timers are set and have not fired: 0 at the end of a test that let go of everything. */
  get timers(): number {
    return this.#timers.length;
  }

  /**
   * Moves time forward, firing due timers in order; the work that each one starts gets a {@link turn} before time goes on.
   * Calls that overlap take effect one after the other. Rejects with what a timer throws; time then stands where that timer
   * was due.
   *
   * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for a negative or infinite time.
   */
  advance(byMs: number): Promise<void> {
    if (!Number.isFinite(byMs) || byMs < 0)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `time cannot be advanced by ${String(byMs)} ms; to set the wall clock back use jump()`,
      );
    const advanced = this.#advancing.then(() => this.#advance(byMs));
    this.#advancing = advanced.catch(() => undefined);
    return advanced;
  }

  /** Makes the wall clock jump, as an administrator or NTP does; the monotonic scale does not move. */
  jump(byMs: number): void {
    this.#wallMs += byMs;
  }

  async #advance(byMs: number): Promise<void> {
    const untilMs = this.#monotonicMs + byMs;
    for (;;) {
      await this.turn();
      const next = this.#timers.toSorted((a, b) => a.dueMs - b.dueMs || a.order - b.order)[0];
      if (next === undefined || next.dueMs > untilMs) break;
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#moveTo(next.dueMs);
      next.fn();
    }
    this.#moveTo(untilMs);
    await this.turn();
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}
