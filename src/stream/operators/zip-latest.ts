/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { Detached } from '../detached.ts';
import { JoinInputs } from '../join-inputs.ts';
import type { JoinInput } from '../join-inputs.ts';
import { Backlog, Lane } from '../lane.ts';
import type { MakeOperator, Operator, OperatorState, Output, Receive } from '../operator.ts';

/** How many values of the first input may wait for the others, per key. */
const MAX_HELD = 10_000;

/** What there is of one key. */
interface Row {
  /** Values of the first input that wait for the others. */
  readonly held: readonly unknown[];
  /** The newest value of each of the others, by slot. */
  readonly newest: readonly (readonly [unknown] | null)[];
}

/**
 * Each value of the first input once, with the newest value of each of the others.
 *
 * - *Order*: of the first input. A tuple has the key, time and headers of the value that caused it.
 * - *Back-pressure*: values of the first input that come before all others have been seen are dealt with when they are held: 10,000 of them, then
 *   emits wait (in an app: `MR_OVERFLOW`). The value that makes them go on is dealt with when they have been, one after the other; meanwhile up to
 *   10,000 values wait.
 * - *State*: those that are held, and the newest value of each of the others, per key of a keyed stream.
 * - *Delivery*: each value of the first input once. `close` drops those for which the others have never come.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const orders = new Stream<string>();
 * const till = new Stream<number>();
 * const receipts = orders.zipLatest(till).toArray();
 * await orders.emit('oats'); // no till is open yet
 * await till.emit(1);
 * await till.emit(2);
 * await orders.emit('rye');
 * await Promise.all([orders.close(), till.close()]);
 * await receipts; // => [['oats', 1], ['rye', 2]]
 * ```
 */
export function zipLatest(inputs: number): MakeOperator {
  return (output, scope) =>
    new ZippedLatest(
      inputs,
      output,
      scope.state((): Row => ({ held: [], newest: [] })),
      scope.kind === 'task',
    );
}

/** A value with the input that it came by. */
interface Arrival {
  readonly input: JoinInput;
  readonly value: unknown;
}

class ZippedLatest implements Operator {
  readonly detached?: Detached;
  readonly inputs: readonly Receive[];
  readonly #output: Output;
  readonly #state: OperatorState<Row>;
  readonly #inputs: JoinInputs;
  readonly #lane: Lane;
  readonly #inTask: boolean;
  /** Values of the first input that wait for room. */
  readonly #room = new Backlog('zipLatest');
  #busy = false;

  constructor(count: number, output: Output, state: OperatorState<Row>, inTask: boolean) {
    this.#output = output;
    this.#state = state;
    this.#inTask = inTask;
    // In a task there is nothing that a commit would not wait for.
    if (!inTask) this.detached = new Detached();
    this.#lane = new Lane(
      'zipLatest',
      (busy) => void (this.#busy = busy),
      (arrival, event) => {
        const { input, value } = arrival as Arrival;
        return this.#receive(input, value, event);
      },
      () => undefined,
    );
    this.#inputs = new JoinInputs(
      count,
      (input) => (value, event) => this.#receive(input, value, event),
    );
    this.inputs = this.#inputs.receivers;
  }

  addInput(): Receive {
    return this.#inputs.add().receive;
  }

  /** Without keys what is held may be complete now. */
  removeInput(receive: Receive): void {
    this.#inputs.remove(receive);
    const pending = this.detached?.run(() => this.#sendHeld(null));
    if (pending !== undefined) void this.#lane.hold(pending, undefined, null);
  }

  async flush(): Promise<void> {
    await this.detached?.settled();
  }

  close(): void {
    this.#lane.close();
    this.#room.drop();
    this.detached?.close();
  }

  #receive(input: JoinInput, value: unknown, event: EventCell | null): void | Promise<void> {
    if (this.#busy) return this.#lane.wait({ input, value } satisfies Arrival, event);
    const { held, newest } = this.#state.get(event);
    if (input.slot === 0) {
      if (held.length === 0) {
        const tuple = this.#tuple(value, newest);
        if (tuple !== undefined) return this.#output.next(tuple, event);
      }
      if (held.length >= MAX_HELD) {
        if (this.#inTask) throw overflow();
        return this.#room.add({ input, value } satisfies Arrival, event);
      }
      this.#state.set(event, { held: [...held, value], newest });
      return;
    }
    const now = newest.slice();
    while (now.length < input.slot) now.push(null);
    now[input.slot] = [value];
    this.#state.set(event, { held, newest: now });
    if (held.length === 0) return;
    const pending = this.#sendHeld(event);
    if (pending !== undefined) return this.#lane.hold(pending, value, event);
  }

  /** Sends what is held, if all the others have been seen. What fails does not keep the rest back; the first error is thrown at the end. */
  #sendHeld(event: EventCell | null, failures: unknown[] = []): void | Promise<void> {
    for (;;) {
      const { held, newest } = this.#state.get(event);
      if (held.length === 0) break;
      const tuple = this.#tuple(held[0], newest);
      if (tuple === undefined) break;
      this.#state.set(event, { held: held.slice(1), newest });
      const failed = (error: unknown): void => void failures.push(error);
      try {
        const pending = this.#output.next(tuple, event);
        if (pending !== undefined)
          return pending.then(undefined, failed).then(() => this.#sendHeld(event, failures));
      } catch (error) {
        // A task takes all of it back and begins again.
        if (this.#inTask) throw error;
        failed(error);
      }
    }
    while (this.#room.size > 0 && this.#state.get(event).held.length < MAX_HELD)
      this.#room.runOne((arrival, of) => {
        const { input, value } = arrival as Arrival;
        return this.#receive(input, value, of);
      });
    if (failures.length > 0) throw failures[0];
  }

  #tuple(first: unknown, newest: Row['newest']): unknown[] | undefined {
    const tuple: unknown[] = [];
    for (const { slot } of this.#inputs.list) {
      if (slot === 0) {
        tuple.push(first);
        continue;
      }
      const seen = newest[slot];
      if (seen === undefined || seen === null) return undefined;
      tuple.push(seen[0]);
    }
    return tuple;
  }
}

function overflow(): MillraceError {
  return new MillraceError(
    'MR_OVERFLOW',
    `${MAX_HELD} values wait in zipLatest for values of the other streams, and a task cannot wait; join by key in a table`,
    { details: { held: MAX_HELD } },
  );
}
