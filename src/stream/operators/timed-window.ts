/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { Detached } from '../detached.ts';
import type { Gathering } from '../gathering.ts';
import { keptEvent, loadedEvent, savedEvent } from '../kept-event.ts';
import type { SavedEvent } from '../kept-event.ts';
import type { MakeOperator, Memory, Operator, Output, Receive, Scope } from '../operator.ts';

/** How many values the open windows may hold. */
const MAX_HELD = 1_000_000;

/**
 * What has come in each `interval`, as an array; an empty one when nothing has. The first window goes on at once. The operator behind `timedWindow`
 * and `timedWindowUnique`.
 *
 * - *Order*: kept. A window goes on with the key, time and headers of its last value.
 * - *Back-pressure*: a value is dealt with when it is in the open window. One window is under way at a time: while it is, values wait for it, and the
 *   next one ends `interval` after it has been dealt with. More than 1,000,000 values in open windows: `MR_OVERFLOW`.
 * - *State*: the open window, one per key of a keyed stream that has a value in it. `close` sends what is in it, `destroy` drops it, `drain` leaves
 *   it open. The timer keeps the process alive only while there is a value in it. Not in an app: windows of event time are tables there.
 * - *Delivery*: each value once, in one window; in windows of one value per key, the others are left out. When a window fails, the next `emit` into the
 *   graph (whose own value is taken all the same), `drain` or `close` rejects.
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock();
 * const visits = new Stream<string>({ clock });
 * const perMinute = visits
 *   .timedWindow('1m')
 *   .map((all) => all.length)
 *   .toArray();
 * const pages = visits.timedWindowUnique('1m').toArray();
 * await clock.advance(0); // the first window
 * await visits.emitAll(['/', '/about', '/']);
 * await clock.advance(120_000);
 * await visits.close();
 * await perMinute; // => [0, 3, 0]
 * await pages; // => [[], ['/', '/about'], []]
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for an interval that is no duration of at least 1 ms.
 */
export function timedWindow<G>(interval: Duration, gathering: Gathering<G>): MakeOperator {
  const intervalMs = durationMs(interval, 'interval', 1);
  return (output, scope) => new OpenWindows(intervalMs, gathering, output, scope);
}

interface Window<G> {
  readonly gathered: G;
  /** How many values are in it. */
  size: number;
  /** Of its last value. */
  event: EventCell | null;
}

interface SavedWindow {
  readonly values: unknown[];
  readonly event: SavedEvent | null;
}

class OpenWindows<G> implements Operator {
  readonly detached: Detached = new Detached();
  readonly inputs: readonly Receive[];
  readonly memory: Memory;
  readonly #intervalMs: number;
  readonly #gathering: Gathering<G>;
  readonly #output: Output;
  readonly #scope: Scope;
  /** By key of the stream, in the order of their first values. */
  #windows = new Map<string | undefined, Window<G>>();
  #held = 0;
  #timer: Timer | undefined;
  #dueMs = 0;
  /** No more windows by the clock. */
  #stopped = false;
  /** Of the windows that are on their way. Never rejects. */
  #underWay: Promise<void> | undefined;

  constructor(intervalMs: number, gathering: Gathering<G>, output: Output, scope: Scope) {
    this.#intervalMs = intervalMs;
    this.#gathering = gathering;
    this.#output = output;
    this.#scope = scope;
    this.inputs = [(value, event) => this.#receive(value, event)];
    this.memory = {
      save: () =>
        [...this.#windows.values()].map(({ gathered, event }): SavedWindow => ({
          values: gathering.values(gathered),
          event: savedEvent(event),
        })),
      load: (saved) => {
        this.#windows.clear();
        this.#held = 0;
        for (const { values, event } of saved as SavedWindow[])
          for (const value of values) this.#add(value, loadedEvent(event));
      },
      peek: (key) => {
        const window = this.#windows.get(key?.id);
        return window === undefined ? [] : gathering.values(window.gathered);
      },
    };
    this.#arm(0);
  }

  async flush(): Promise<void> {
    this.#stop();
    await this.#underWay;
    if (this.#held > 0) await this.#send();
    await this.detached.settled();
  }

  close(): void {
    this.#stop();
    this.#windows.clear();
    this.#held = 0;
    this.detached.close();
  }

  #stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #receive(value: unknown, event: EventCell | null): void | Promise<void> {
    if (this.#held >= MAX_HELD)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${MAX_HELD} values are in the open windows of timedWindow; make its interval shorter, or what is behind it faster`,
        { retryable: true, details: { held: MAX_HELD } },
      );
    this.#add(value, event);
    return this.#underWay;
  }

  #add(value: unknown, event: EventCell | null): void {
    let window = this.#windows.get(event?.key?.id);
    if (window === undefined) {
      window = { gathered: this.#gathering.start(), size: 0, event: null };
      this.#windows.set(event?.key?.id, window);
    }
    const before = this.#held;
    const size = this.#gathering.add(window.gathered, value);
    this.#held += size - window.size;
    window.size = size;
    window.event = keptEvent(event);
    // The process has something to stay for.
    if (before === 0 && this.#timer !== undefined)
      this.#arm(Math.max(0, this.#dueMs - this.#scope.clock.monotonic()));
  }

  #arm(delayMs: number): void {
    if (this.#stopped) return;
    this.#timer?.cancel();
    this.#dueMs = this.#scope.clock.monotonic() + delayMs;
    this.#timer = this.#scope.clock.setTimer(delayMs, () => this.#tick(), {
      unref: this.#held === 0 && delayMs > 0,
    });
  }

  #tick(): void {
    this.#timer = undefined;
    const pending = this.#send();
    if (pending === undefined) {
      this.#arm(this.#intervalMs);
      return;
    }
    this.#underWay = pending.then(() => {
      this.#underWay = undefined;
      this.#arm(this.#intervalMs);
    });
  }

  /** Sends the open windows on. Never rejects. */
  #send(): void | Promise<void> {
    const windows: Window<G>[] =
      this.#held === 0
        ? [{ gathered: this.#gathering.start(), size: 0, event: null }]
        : [...this.#windows.values()];
    this.#windows = new Map();
    this.#held = 0;
    return this.#sendEach(windows, 0);
  }

  #sendEach(windows: readonly Window<G>[], from: number): void | Promise<void> {
    for (let i = from; i < windows.length; i++) {
      const { gathered, event } = windows[i] as Window<G>;
      const pending = this.detached.run(() =>
        this.#output.next(this.#gathering.values(gathered), event),
      );
      if (pending !== undefined) return pending.then(() => this.#sendEach(windows, i + 1));
    }
  }
}
