/**
 * @module
 */
import type { Timer } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { checkWhole } from '../../core/given.ts';
import { Detached } from '../detached.ts';
import type { Gathering } from '../gathering.ts';
import { keptEvent, loadedEvent, savedEvent } from '../kept-event.ts';
import type { SavedEvent } from '../kept-event.ts';
import type { MakeOperator, Memory, Operator, Output, Receive, Scope } from '../operator.ts';
import { same } from '../same.ts';
import { synchronous } from '../synchronous.ts';

/** Largest group. */
const MAX_COUNT = 1_000_000;
/** How many may be open at once. */
const MAX_GROUPS = 1_000_000;

/** What groups there are. */
export interface Grouping {
  /** Values of different groups are not mixed. Default: one group at a time, or one per key of a keyed stream. */
  readonly groupOf?: ((value: unknown) => unknown) | undefined;
  /** A group goes on at the latest so long after its first value. Default: when it is full. */
  readonly timeout?: Duration | undefined;
}

/**
 * Groups of `count` values, as arrays; with a timeout, at the latest so long after the first value of a group, with what there is. The operator
 * behind `partition`, `partitionUnique` and `take`.
 *
 * - *Order*: kept within a group. A group goes on with the key, time and headers of its last value.
 * - *Back-pressure*: a value that does not complete a group is dealt with when it is in it; the one that does, when everything behind has dealt
 *   with the group. Of the groups whose time is up one goes on at a time; the others fill up meanwhile, to `count` at most.
 * - *State*: the open groups, per key of a keyed stream; more than 1,000,000 of them: `MR_OVERFLOW`. `close` sends what is in them, `destroy` drops it, `drain` leaves them open. In an app they
 *   are saved with the commit; there a timeout is refused at start, since it would need a timer of the task.
 * - *Delivery*: each value once, in one group; in groups of one value per key, the others are left out. A group that fails, fails the value that
 *   completed it; when a timer sent it, the next `emit` into the graph (whose own value is taken all the same), `drain` or `close` rejects.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const files = ['a.png', 'b.csv', 'c.png', 'd.csv', 'e.png'];
 * const key = (file: string) => file.slice(-3);
 * await Stream.from(files).partition(2, { key }).toArray();
 * // => [['a.png', 'c.png'], ['b.csv', 'd.csv'], ['e.png']]
 * await Stream.from(files).partitionUnique(2, { key }).toArray();
 * // => [['a.png', 'b.csv'], ['c.png', 'd.csv'], ['e.png']]
 * ```
 *
 * ```ts
 * import { Stream, VirtualClock } from 'millrace';
 *
 * const clock = new VirtualClock();
 * const rows = new Stream<number>({ clock });
 * const inserts = rows.take(100, { within: '1s' }).toArray();
 * await rows.emitAll([1, 2]);
 * await clock.advance(1_000); // not 100 rows, but a second
 * await rows.emit(3);
 * await rows.close();
 * await inserts; // => [[1, 2], [3]]
 * ```
 *
 * @param what Name of the operator, for errors.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a count that is not an integer from 1 to 1,000,000, and for a timeout that is no duration.
 */
export function partition<G>(
  what: string,
  count: number,
  gathering: Gathering<G>,
  { groupOf: given, timeout }: Grouping = {},
): MakeOperator {
  checkWhole(`the count of ${what}`, count, 1, MAX_COUNT);
  const groupOf = given === undefined ? undefined : synchronous(`key of ${what}`, given);
  const timeoutMs = timeout === undefined ? undefined : durationMs(timeout, 'timeout');
  return (output, scope) =>
    scope.kind === 'task'
      ? inTask(count, gathering, groupOf, output, scope)
      : new OpenGroups(count, gathering, groupOf, timeoutMs, output, scope);
}

/** The open groups of a key are a row of state: they come and go with the commit. Without `groupOf` the row is the values of the one group. */
function inTask<G>(
  count: number,
  gathering: Gathering<G>,
  groupOf: ((value: unknown) => unknown) | undefined,
  output: Output,
  scope: Scope,
): Receive {
  // New arrays each time: a value that fails behind this operator puts those before back.
  const withValue = (values: readonly unknown[], value: unknown): unknown[] => {
    const group = gathering.start();
    for (const each of values) gathering.add(group, each);
    gathering.add(group, value);
    return [...gathering.values(group)];
  };
  if (groupOf === undefined) {
    const open = scope.state((): readonly unknown[] => []);
    return (value, event) => {
      const group = withValue(open.get(event), value);
      open.set(event, group.length < count ? group : []);
      if (group.length >= count) return output.next(group, event);
    };
  }
  const open = scope.state((): readonly (readonly [unknown, readonly unknown[]])[] => []);
  return (value, event) => {
    const id = groupOf(value);
    const groups = open.get(event);
    const group = withValue(groups.find(([of]) => same(of, id))?.[1] ?? [], value);
    const others = groups.filter(([of]) => !same(of, id));
    open.set(event, group.length < count ? [...others, [id, group]] : others);
    if (group.length >= count) return output.next(group, event);
  };
}

interface Group<G> {
  /** Key of the stream. */
  readonly of: string | undefined;
  /** Which of the groups of that key. */
  readonly id: unknown;
  gathered: G;
  /** Of its last value. */
  event: EventCell | null;
  timer: Timer | undefined;
}

interface SavedGroup {
  readonly id: unknown;
  readonly values: unknown[];
  readonly event: SavedEvent | null;
}

class OpenGroups<G> implements Operator {
  /** Groups that a timer sends. */
  readonly detached: Detached | undefined;
  readonly inputs: readonly Receive[];
  readonly memory: Memory;
  readonly #count: number;
  readonly #gathering: Gathering<G>;
  readonly #groupOf: ((value: unknown) => unknown) | undefined;
  readonly #timeoutMs: number | undefined;
  readonly #output: Output;
  readonly #scope: Scope;
  /** By key of the stream, then by group. In the order in which they were begun. */
  readonly #groups = new Map<string | undefined, Map<unknown, Group<G>>>();
  #openGroups = 0;
  /** The open group where there are neither keys nor several groups. */
  #only: Group<G> | undefined;
  #forgetOnly: () => void = () => undefined;
  /** Those whose time is up, while an earlier one is under way. */
  readonly #due: Set<Group<G>> = new Set();
  #sending = false;

  constructor(
    count: number,
    gathering: Gathering<G>,
    groupOf: ((value: unknown) => unknown) | undefined,
    timeoutMs: number | undefined,
    output: Output,
    scope: Scope,
  ) {
    this.#count = count;
    this.#gathering = gathering;
    this.#groupOf = groupOf;
    this.#timeoutMs = timeoutMs;
    this.detached = timeoutMs === undefined ? undefined : new Detached();
    this.#output = output;
    this.#scope = scope;
    this.inputs = [groupOf === undefined ? this.#simply() : this.#receive];
    this.memory = {
      save: () => [...this.#all()].map((group) => this.#saved(group)),
      load: (saved) => this.#load(saved as SavedGroup[]),
      peek: (key) => {
        const groups = [...(this.#groups.get(key?.id)?.values() ?? [])];
        return this.#groupOf === undefined
          ? groups.flatMap((group) => this.#values(group))
          : groups.map((group) => [group.id, this.#values(group)]);
      },
    };
  }

  async flush(): Promise<void> {
    const errors: unknown[] = [];
    for (const group of this.#all())
      try {
        this.#close(group);
        await this.#send(group);
      } catch (error) {
        errors.push(error);
      }
    try {
      await this.detached?.settled();
    } catch (error) {
      errors.push(error);
    }
    if (errors.length > 0) throw errors[0];
  }

  close(): void {
    for (const group of this.#all()) this.#close(group);
    this.detached?.close();
  }

  /** Where most values come without a key, and there is one group: it is kept in a variable of the closure, which costs less than a property. */
  #simply(): Receive {
    const gathering = this.#gathering;
    const count = this.#count;
    const output = this.#output;
    let gathered: G | undefined;
    this.#forgetOnly = () => {
      gathered = undefined;
    };
    const begin: Receive = (value, event) => {
      const pending = this.#receive(value, event);
      gathered = this.#only?.gathered;
      return pending;
    };
    const complete = (): void | Promise<void> => {
      const group = this.#only as Group<G>;
      const values = this.#values(group);
      if (group.timer === undefined) {
        // The group goes on as the next one.
        gathered = gathering.start();
        group.gathered = gathered;
      } else this.#close(group);
      return output.next(values, null);
    };
    return (value, event) => {
      if (event !== null || gathered === undefined) return begin(value, event);
      if (gathering.add(gathered, value) >= count) return complete();
    };
  }

  readonly #receive: Receive = (value, event) => {
    const id = this.#groupOf?.(value);
    const group = this.#groups.get(event?.key?.id)?.get(id) ?? this.#open(event, id);
    if (this.#gathering.add(group.gathered, value) < this.#count) {
      group.event = keptEvent(event);
      return;
    }
    this.#close(group);
    return this.#output.next(this.#values(group), event);
  };

  #open(event: EventCell | null, id: unknown): Group<G> {
    if (this.#openGroups >= MAX_GROUPS)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${MAX_GROUPS} groups are open, and a value has come for another one; give a key with fewer different values, or a timeout that sends groups on before they are full`,
        { details: { groups: MAX_GROUPS } },
      );
    this.#openGroups += 1;
    const of = event?.key?.id;
    let home = this.#groups.get(of);
    if (home === undefined) {
      home = new Map();
      this.#groups.set(of, home);
    }
    const group: Group<G> = {
      of,
      id,
      gathered: this.#gathering.start(),
      event: null,
      timer: undefined,
    };
    home.set(id, group);
    if (this.#groupOf === undefined && of === undefined) this.#only = group;
    if (this.#timeoutMs !== undefined && this.#count > 1)
      group.timer = this.#scope.clock.setTimer(this.#timeoutMs, () => {
        this.#due.add(group);
        this.#sendDue();
      });
    return group;
  }

  /** Its values go on, or nowhere; those that come belong to the next group. */
  #close(group: Group<G>): void {
    group.timer?.cancel();
    this.#openGroups -= 1;
    const groups = this.#groups.get(group.of);
    groups?.delete(group.id);
    // Keys are remembered only while they have a group. Without keys there is one map, which the next group needs again.
    if (groups?.size === 0 && group.of !== undefined) this.#groups.delete(group.of);
    this.#due.delete(group);
    if (this.#only !== group) return;
    this.#only = undefined;
    this.#forgetOnly();
  }

  #values(group: Group<G>): unknown[] {
    return this.#gathering.values(group.gathered);
  }

  /** Those with a value in them. */
  *#all(): Generator<Group<G>> {
    for (const groups of this.#groups.values())
      for (const group of groups.values()) if (this.#values(group).length > 0) yield group;
  }

  #send(group: Group<G>): void | Promise<void> {
    return this.#output.next(this.#values(group), group.event);
  }

  #sendDue(): void {
    for (const group of this.#due) {
      if (this.#sending) return;
      this.#close(group);
      const pending = this.detached?.run(() => this.#send(group));
      if (pending === undefined) continue;
      this.#sending = true;
      void pending.then(() => {
        this.#sending = false;
        this.#sendDue();
      });
    }
  }

  #saved(group: Group<G>): SavedGroup {
    return { id: group.id, values: this.#values(group), event: savedEvent(group.event) };
  }

  /** Their time begins anew. */
  #load(saved: readonly SavedGroup[]): void {
    const larger = saved.find(({ values }) => values.length >= this.#count);
    if (larger !== undefined)
      throw new MillraceError(
        'MR_SNAPSHOT_INVALID',
        `the snapshot holds a group of ${larger.values.length} values, and groups of ${this.#count} are full before; restore it into groups as large as those that it is of`,
        { details: { count: this.#count } },
      );
    for (const group of this.#all()) this.#close(group);
    for (const { id, values, event } of saved) {
      const group = this.#open(loadedEvent(event), id);
      group.event = loadedEvent(event);
      for (const value of values) this.#gathering.add(group.gathered, value);
    }
  }
}
