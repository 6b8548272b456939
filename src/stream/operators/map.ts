/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { checkFunction } from '../../core/given.ts';
import type { EventCell } from '../../core/event.ts';
import { keepContext } from '../../core/flight.ts';
import type { Resume } from '../../core/flight.ts';
import { isPromise } from '../../core/types.ts';
import { Fifo } from '../fifo.ts';
import { Backlog, Lane } from '../lane.ts';
import type { MakeOperator, Output, Receive } from '../operator.ts';

/** How `map` calls its function. */
export interface Concurrency {
  /** How many calls may be under way at once, from 1. Default 1. */
  readonly concurrency?: number | undefined;
  /** Results in the order of the values (default), or as they come. */
  readonly ordered?: boolean | undefined;
}

/**
 * Replaces each value by what `fn` makes of it, awaited.
 *
 * - *Order*: kept, unless `ordered` is false.
 * - *Back-pressure*: a value is dealt with when everything behind has dealt with its result. While `concurrency` calls are under way, up
 *   to 10,000 values wait, then `MR_OVERFLOW`.
 * - *State*: none but the calls under way.
 * - *Delivery*: each value once; what `fn` throws goes to the one who emitted the value.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const celsius = (fahrenheit: number) => ((fahrenheit - 32) * 5) / 9;
 * await Stream.from([32, 212]).map(celsius).toArray(); // => [0, 100]
 *
 * const nameOf = async (id: number) => `user ${id}`; // asks a database, ten questions at a time
 * await Stream.from([7, 8]).map(nameOf, { concurrency: 10 }).toArray(); // => ['user 7', 'user 8']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a concurrency that is not an integer from 1.
 */
export function map(fn: (value: unknown) => unknown, options: Concurrency = {}): MakeOperator {
  checkFunction('map', fn);
  const { concurrency = 1, ordered = true } = options;
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `concurrency is ${String(concurrency)}; give an integer from 1`,
      { details: { option: 'concurrency', value: concurrency } },
    );
  if (concurrency === 1) return oneAtATime(fn);
  return (output) => {
    const calls = new Calls(fn, output, concurrency, ordered);
    return { inputs: [calls.receive], close: () => calls.close() };
  };
}

function oneAtATime(fn: (value: unknown) => unknown): MakeOperator {
  return (output) => {
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const result = fn(value);
      if (isPromise(result)) return lane.hold(result, value, event);
      return output.next(result, event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('map', mark, receive, (result, _value, event) =>
      output.next(result, event),
    );
    return { inputs: [receive], close: () => lane.close() };
  };
}

/** A call under way, or one whose result waits for its turn. */
interface Call {
  readonly event: EventCell | null;
  readonly resume: Resume;
  readonly handedOn: PromiseWithResolvers<void>;
  outcome: { readonly result: unknown } | { readonly error: unknown } | undefined;
}

class Calls {
  readonly #fn: (value: unknown) => unknown;
  readonly #output: Output;
  readonly #concurrency: number;
  readonly #ordered: boolean;
  readonly #backlog = new Backlog('map');
  /** In order of arrival. */
  readonly #calls = new Fifo<Call>();
  /** Places taken. A result that waits for an earlier one keeps its place, or results would pile up behind a slow call. */
  #taken = 0;

  constructor(
    fn: (value: unknown) => unknown,
    output: Output,
    concurrency: number,
    ordered: boolean,
  ) {
    this.#fn = fn;
    this.#output = output;
    this.#concurrency = concurrency;
    this.#ordered = ordered;
  }

  readonly receive: Receive = (value, event) =>
    this.#taken === this.#concurrency || this.#backlog.size > 0
      ? this.#backlog.add(value, event)
      : this.#call(value, event);

  close(): void {
    this.#backlog.drop();
  }

  readonly #call: Receive = (value, event) => {
    const result = this.#fn(value);
    if (!isPromise(result) && (!this.#ordered || this.#calls.size === 0))
      return this.#output.next(result, event);
    this.#taken += 1;
    const call: Call = {
      event,
      resume: keepContext(event),
      handedOn: Promise.withResolvers(),
      outcome: undefined,
    };
    if (this.#ordered) this.#calls.add(call);
    if (isPromise(result))
      Promise.resolve(result).then(
        (awaited) => this.#settled(call, { result: awaited }),
        (error: unknown) => this.#settled(call, { error }),
      );
    else call.outcome = { result };
    return call.handedOn.promise;
  };

  #settled(call: Call, outcome: NonNullable<Call['outcome']>): void {
    call.outcome = outcome;
    if (!this.#ordered) this.#handOn(call, outcome);
    else
      for (
        let first = this.#calls.peek();
        first?.outcome !== undefined;
        first = this.#calls.peek()
      ) {
        this.#calls.take();
        this.#handOn(first, first.outcome);
      }
    while (this.#taken < this.#concurrency && this.#backlog.size > 0)
      this.#backlog.runOne(this.#call);
  }

  #handOn({ event, resume, handedOn }: Call, outcome: NonNullable<Call['outcome']>): void {
    this.#taken -= 1;
    if ('error' in outcome) {
      handedOn.reject(outcome.error);
      return;
    }
    try {
      handedOn.resolve(resume(() => this.#output.next(outcome.result, event)));
    } catch (error) {
      handedOn.reject(error);
    }
  }
}
