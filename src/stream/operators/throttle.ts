/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { Newest } from '../newest.ts';
import { NONE } from '../none.ts';
import type { MakeOperator, Memory, Operator, Output, Receive, Scope } from '../operator.ts';

/**
 * Passes on a value, and leaves out those that come within `interval` of it. With `trailing` the last of these goes on when the interval is over, and
 * begins the next one.
 *
 * - *Order*: kept; with `trailing` on a keyed stream within each key.
 * - *Back-pressure*: none of its own; a value that is left out, or held, is dealt with at once.
 * - *State*: when the last value went on, and the one that is held, per key of a keyed stream. `close` sends what is held, `drain` waits for it,
 *   `destroy` drops it. In an app intervals are of event time, and there is no `trailing`.
 * - *Delivery*: each value at most once, as it came. When one that was held fails, the next `emit` into the graph (whose own value is taken all the
 *   same), `drain` or `close` rejects.
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock();
 * const degrees = new Stream<number>({ clock });
 * const shown = degrees.throttle('1s').toArray();
 * const withLast = degrees.throttle('1s', { trailing: true }).toArray();
 * await degrees.emitAll([20, 21]);
 * await clock.advance(1_000);
 * await degrees.emit(22);
 * await degrees.close();
 * await shown; // => [20, 22]
 * await withLast; // => [20, 21, 22]
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for an interval that is no duration.
 */
export function throttle(interval: Duration, trailing: boolean): MakeOperator {
  const intervalMs = durationMs(interval, 'interval');
  return (output, scope) =>
    trailing ? new Trailing(intervalMs, output, scope) : leading(intervalMs, output, scope);
}

function leading(intervalMs: number, output: Output, scope: Scope): Receive {
  const last = scope.state((): unknown => NONE);
  return (value, event) => {
    const nowMs =
      scope.kind === 'task' && event !== null ? event.timestamp : scope.clock.monotonic();
    const lastMs = last.get(event);
    // A clock that is behind what a snapshot remembers has begun anew. Event times may go back at any time.
    const again = scope.kind === 'process' && typeof lastMs === 'number' && nowMs < lastMs;
    if (!again && typeof lastMs === 'number' && nowMs < lastMs + intervalMs) return;
    last.set(event, nowMs);
    return output.next(value, event);
  };
}

/** The interval of a key that is not over. */
interface Interval {
  readonly timer: Timer;
}

class Trailing implements Operator {
  readonly detached: Newest['detached'];
  readonly inputs: readonly Receive[];
  readonly memory: Memory;
  readonly #intervalMs: number;
  readonly #output: Output;
  readonly #scope: Scope;
  readonly #intervals = new Map<string | undefined, Interval>();
  readonly #held: Newest;

  constructor(intervalMs: number, output: Output, scope: Scope) {
    this.#intervalMs = intervalMs;
    this.#output = output;
    this.#scope = scope;
    this.#held = new Newest(output);
    this.detached = this.#held.detached;
    // What is held after a restart goes on when an interval has passed.
    this.memory = this.#held.memoryWith((id) => this.#begin(id));
    this.inputs = [
      (value, event) => {
        const id = event?.key?.id;
        if (this.#intervals.has(id)) {
          this.#held.hold(id, value, event);
          return;
        }
        this.#begin(id);
        return this.#output.next(value, event);
      },
    ];
  }

  async flush(): Promise<void> {
    this.#cancel();
    await this.#held.flush();
  }

  close(): void {
    this.#cancel();
    this.#held.close();
  }

  #begin(id: string | undefined): void {
    this.#intervals.get(id)?.timer.cancel();
    const timer = this.#scope.clock.setTimer(this.#intervalMs, () => {
      this.#intervals.delete(id);
      if (!this.#held.has(id)) return;
      this.#begin(id);
      this.#held.release(id);
    });
    this.#intervals.set(id, { timer });
  }

  #cancel(): void {
    for (const { timer } of this.#intervals.values()) timer.cancel();
    this.#intervals.clear();
  }
}
