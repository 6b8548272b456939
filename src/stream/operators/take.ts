/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { Detached } from '../detached.ts';
import type { MakeOperator, Operator, Output, Receive, Scope } from '../operator.ts';

/** Largest group. */
const MAX_COUNT = 1_000_000;

/**
 * Groups of `count` values, as arrays; with `within`, at the latest so long after the first value of a group, with what there is.
 *
 * - *Order*: kept within a key. A group goes on with the key, time and headers of its last value.
 * - *Back-pressure*: a value that does not complete a group is dealt with when it is in it; the one that does, when everything behind has dealt
 *   with the group. Of the groups whose time is up one goes on at a time; the others fill up meanwhile, to `count` at most.
 * - *State*: the open group, per key of a keyed stream. `close` sends what is in them, `destroy` drops it, `drain` leaves them open. In an app they
 *   are saved with the commit; there `within` is refused at start, since it would need a timer of the task.
 * - *Delivery*: each value once, in one group. A group that fails, fails the value that completed it; when a timer sent it, the next `emit` into
 *   the graph (whose own value is taken all the same), `drain` or `close` rejects.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a count that is not an integer from 1 to 1,000,000, and for a `within` that is no duration.
 */
export function take(count: number, within: Duration | undefined): MakeOperator {
  if (!Number.isInteger(count) || count < 1 || count > MAX_COUNT)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `take was asked for groups of ${String(count)}; give an integer from 1 to ${MAX_COUNT}`,
      { details: { option: 'count', value: count } },
    );
  const withinMs = within === undefined ? undefined : durationMs(within, 'within');
  return (output, scope) =>
    scope.kind === 'task'
      ? inTask(count, output, scope)
      : new OpenGroups(count, withinMs, output, scope);
}

/** The open group is a row of state: it comes and goes with the commit. */
function inTask(count: number, output: Output, scope: Scope): Receive {
  const open = scope.state((): readonly unknown[] => []);
  return (value, event) => {
    // A new array each time: a value that fails behind this operator puts the one before it back.
    const group = [...open.get(event), value];
    if (group.length < count) {
      open.set(event, group);
      return;
    }
    open.set(event, []);
    return output.next(group, event);
  };
}

interface Group {
  /** Of its key; `undefined` where there are no keys. */
  readonly id: string | undefined;
  readonly values: unknown[];
  /** Of its last value. */
  event: EventCell | null;
  timer: Timer | undefined;
}

class OpenGroups implements Operator {
  readonly detached: Detached = new Detached();
  readonly inputs: readonly Receive[];
  readonly #count: number;
  readonly #withinMs: number | undefined;
  readonly #output: Output;
  readonly #scope: Scope;
  /** In the order in which they were begun. */
  readonly #groups = new Map<string | undefined, Group>();
  /** Those whose time is up, while an earlier one is under way. */
  readonly #due: Set<Group> = new Set();
  #sending = false;

  constructor(count: number, withinMs: number | undefined, output: Output, scope: Scope) {
    this.#count = count;
    this.#withinMs = withinMs;
    this.#output = output;
    this.#scope = scope;
    this.inputs = [(value, event) => this.#receive(value, event)];
  }

  async flush(): Promise<void> {
    const errors: unknown[] = [];
    for (const group of this.#groups.values())
      try {
        this.#close(group);
        await this.#send(group);
      } catch (error) {
        errors.push(error);
      }
    try {
      await this.detached.settled();
    } catch (error) {
      errors.push(error);
    }
    if (errors.length > 0) throw errors[0];
  }

  close(): void {
    for (const group of this.#groups.values()) this.#close(group);
    this.detached.close();
  }

  #receive(value: unknown, event: EventCell | null): void | Promise<void> {
    const id = event?.key?.id;
    const group = this.#groups.get(id) ?? this.#open(id);
    group.values.push(value);
    if (group.values.length < this.#count) {
      // The caller uses its cell for the next value.
      group.event = event === null ? null : { ...event };
      return;
    }
    this.#close(group);
    return this.#output.next(group.values, event);
  }

  #open(id: string | undefined): Group {
    const group: Group = { id, values: [], event: null, timer: undefined };
    this.#groups.set(id, group);
    if (this.#withinMs !== undefined && this.#count > 1)
      group.timer = this.#scope.clock.setTimer(this.#withinMs, () => {
        this.#due.add(group);
        this.#sendDue();
      });
    return group;
  }

  /** Its values go on, or nowhere; those that come belong to the next group. */
  #close(group: Group): void {
    group.timer?.cancel();
    this.#groups.delete(group.id);
    this.#due.delete(group);
  }

  #send({ values, event }: Group): void | Promise<void> {
    return this.#output.next(values, event);
  }

  #sendDue(): void {
    for (const group of this.#due) {
      if (this.#sending) return;
      this.#close(group);
      const pending = this.detached.run(() => this.#send(group));
      if (pending === undefined) continue;
      this.#sending = true;
      void pending.then(() => {
        this.#sending = false;
        this.#sendDue();
      });
    }
  }
}
