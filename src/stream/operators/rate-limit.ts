/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { Backlog } from '../lane.ts';
import type { MakeOperator, Operator, Output, Receive, Scope } from '../operator.ts';

/**
 * Lets values on at least `interval` apart.
 *
 * - *Order*: kept, also when emits were not awaited.
 * - *Back-pressure*: a value is dealt with when its turn has come and everything behind has dealt with it. Up to 10,000 values wait for their turn,
 *   then `MR_OVERFLOW`.
 * - *State*: when the last value went on, one for all keys. In an app it is the time of the task's machine, and begins anew with the task.
 * - *Delivery*: each value once, as it came.
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock();
 * const paths = new Stream<string>({ clock });
 * const requests: string[] = [];
 * paths.rateLimit('100ms').sink((path) => requests.push(`${path} at ${clock.monotonic()} ms`));
 * const sent = paths.emitAll(['/a', '/b', '/c']);
 * await clock.advance(200);
 * await sent;
 * requests; // => ['/a at 0 ms', '/b at 100 ms', '/c at 200 ms']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for an interval that is no duration.
 */
export function rateLimit(interval: Duration): MakeOperator {
  const intervalMs = durationMs(interval, 'interval');
  return (output, scope) => new Limited(intervalMs, output, scope);
}

class Limited implements Operator {
  readonly inputs: readonly Receive[];
  readonly #intervalMs: number;
  readonly #output: Output;
  readonly #scope: Scope;
  readonly #backlog = new Backlog('rateLimit');
  /** When the next may go on, on the monotonic scale of the clock. */
  #nextMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(intervalMs: number, output: Output, scope: Scope) {
    this.#intervalMs = intervalMs;
    this.#output = output;
    this.#scope = scope;
    this.inputs = [
      (value, event) => {
        if (this.#timer === undefined && scope.clock.monotonic() >= this.#nextMs)
          return this.#send(value, event);
        const waiting = this.#backlog.add(value, event);
        this.#timer ??= this.#wait();
        return waiting;
      },
    ];
  }

  close(): void {
    this.#timer?.cancel();
    this.#backlog.drop();
  }

  readonly #send: Receive = (value, event) => {
    this.#nextMs = this.#scope.clock.monotonic() + this.#intervalMs;
    return this.#output.next(value, event);
  };

  #wait(): Timer {
    const leftMs = Math.max(0, this.#nextMs - this.#scope.clock.monotonic());
    return this.#scope.clock.setTimer(leftMs, () => {
      this.#timer = undefined;
      this.#backlog.runOne(this.#send);
      if (this.#backlog.size > 0) this.#timer ??= this.#wait();
    });
  }
}
