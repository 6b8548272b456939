/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { checkWhole } from '../../core/given.ts';
import { Detached } from '../detached.ts';
import { Fifo } from '../fifo.ts';
import { JoinInputs } from '../join-inputs.ts';
import type { JoinInput } from '../join-inputs.ts';
import { localKey } from '../local-key.ts';
import { Backlog } from '../lane.ts';
import type { MakeOperator, Memory, Operator, Output, Receive, Scope } from '../operator.ts';

/** Largest number of values that an input may hold. */
const MAX_SIZE = 2 ** 24;

/**
 * Tuples of one value of each input: the first ones, the second ones, …
 *
 * - *Order*: kept. A tuple has the key, time and headers of the value that completes it.
 * - *Back-pressure*: a value that does not complete a tuple is dealt with when it is held; the one that does, when everything behind has dealt with the
 *   tuple. While an input holds `maxsize` values, its emits wait until a tuple takes one, up to 10,000 of them, then `MR_OVERFLOW`. In an app values
 *   cannot wait: there more than `maxsize` are `MR_OVERFLOW` at once.
 * - *State*: the values that are held, per key of a keyed stream. `close` drops what has no partner.
 * - *Delivery*: each value once. When an input has ended and holds nothing, nothing more can come: the zip ends, and values of the others are dealt with
 *   at once. A tuple that becomes complete because an input was disconnected goes on by itself; if it fails, the next `emit` into the graph, `drain` or
 *   `close` rejects.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const questions = Stream.from(['2 + 2', '3 * 3']);
 * const answers = Stream.from([4, 9, 16]);
 * await questions.zip(answers).toArray(); // => [['2 + 2', 4], ['3 * 3', 9]]
 * ```
 *
 * @param over Called when nothing can come any more.
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for a maxsize that is not an integer from 1 to 16,777,216.
 */
export function zip(inputs: number, maxsize: number, over: () => void): MakeOperator {
  checkWhole('maxsize of zip', maxsize, 1, MAX_SIZE);
  return (output, scope) =>
    scope.kind === 'task'
      ? inTask(inputs, maxsize, output, scope)
      : new Zipped(inputs, maxsize, output, over);
}

function inTask(count: number, maxsize: number, output: Output, scope: Scope): Operator {
  const state = scope.state((): readonly (readonly unknown[])[] =>
    Array.from({ length: count }, () => []),
  );
  return {
    inputs: Array.from({ length: count }, (_, i): Receive => (value, event) => {
      // New arrays each time: a value that fails behind this operator puts those before back.
      const held = state.get(event).map((values, j) => (i === j ? values.concat([value]) : values));
      if (held.every((values) => values.length > 0)) {
        state.set(
          event,
          held.map((values) => values.slice(1)),
        );
        return output.next(
          held.map((values) => values[0]),
          event,
        );
      }
      if ((held[i] as unknown[]).length > maxsize)
        throw new MillraceError(
          'MR_OVERFLOW',
          `input ${i} of zip holds ${maxsize} values that wait for the others, and a task cannot wait; raise maxsize, or join by key in a table`,
          { details: { input: i, maxsize } },
        );
      state.set(event, held);
    }),
  };
}

/** What waits for partners, of one key. */
interface Waiting {
  readonly id: string | undefined;
  /** Key of the stream, for snapshots; `undefined` without one. */
  readonly key: unknown;
  /** By slot of the input. */
  readonly held: Map<number, Fifo<unknown>>;
  readonly backlogs: Map<number, Backlog>;
}

class Zipped implements Operator {
  readonly detached: Detached = new Detached();
  readonly inputs: readonly Receive[];
  readonly memory: Memory;
  readonly #maxsize: number;
  readonly #output: Output;
  readonly #over: () => void;
  readonly #inputs: JoinInputs;
  readonly #keys = new Map<string | undefined, Waiting>();
  #ended = false;

  constructor(count: number, maxsize: number, output: Output, over: () => void) {
    this.#maxsize = maxsize;
    this.#output = output;
    this.#over = over;
    this.#inputs = new JoinInputs(
      count,
      (input) => (value, event) => this.#receive(input, value, event),
    );
    this.inputs = this.#inputs.receivers;
    this.memory = {
      save: () =>
        [...this.#keys.values()].map(({ key, held }) => [
          key,
          this.#inputs.list.map(({ slot }) => held.get(slot)?.values() ?? []),
        ]),
      load: (saved) => this.#load(saved as [unknown, unknown[][]][]),
      peek: (key) => {
        const held = this.#keys.get(key?.id)?.held;
        return this.#inputs.list.map(({ slot }) => held?.get(slot)?.values() ?? []);
      },
    };
  }

  addInput(): Receive {
    return this.#inputs.add().receive;
  }

  removeInput(receive: Receive): void {
    const input = this.#inputs.remove(receive);
    if (input === undefined) return;
    for (const waiting of this.#keys.values()) {
      waiting.held.delete(input.slot);
      waiting.backlogs.get(input.slot)?.drop();
      waiting.backlogs.delete(input.slot);
    }
    this.#sendComplete([...this.#keys.values()]);
  }

  endInput(receive: Receive): void {
    this.#inputs.end(receive);
    this.#endIfDone();
  }

  async flush(): Promise<void> {
    await this.detached.settled();
  }

  close(): void {
    this.#drop();
    this.detached.close();
  }

  #receive(input: JoinInput, value: unknown, event: EventCell | null): void | Promise<void> {
    if (this.#ended) return;
    const waiting = this.#waitingOf(event?.key?.id, event?.key?.key);
    const held = fifoOf(waiting, input);
    const backlog = waiting.backlogs.get(input.slot);
    if (held.size >= this.#maxsize || (backlog?.size ?? 0) > 0) {
      const own = backlog ?? new Backlog('zip');
      waiting.backlogs.set(input.slot, own);
      return own.add(value, event);
    }
    held.add(value);
    return this.#complete(waiting, event);
  }

  /** Sends a tuple if there is one. */
  #complete(waiting: Waiting, event: EventCell | null): void | Promise<void> {
    const { list } = this.#inputs;
    for (const { slot } of list) if ((waiting.held.get(slot)?.size ?? 0) === 0) return;
    const tuple = list.map(({ slot }) => waiting.held.get(slot)?.take());
    try {
      return this.#output.next(tuple, event);
    } finally {
      this.#fill(waiting);
      this.#endIfDone();
    }
  }

  /** Takes values that wait for room. */
  #fill(waiting: Waiting): void {
    for (const input of [...this.#inputs.list]) {
      const backlog = waiting.backlogs.get(input.slot);
      while (
        backlog !== undefined &&
        backlog.size > 0 &&
        fifoOf(waiting, input).size < this.#maxsize
      )
        backlog.runOne((value, event) => {
          fifoOf(waiting, input).add(value);
          return this.#complete(waiting, event);
        });
    }
    // A key is remembered only while something of it waits.
    if (waiting.id === undefined) return;
    if (this.#inputs.list.every(({ slot }) => (waiting.held.get(slot)?.size ?? 0) === 0))
      this.#keys.delete(waiting.id);
  }

  /** Sends tuples that are complete since there is one input less, one after the other. */
  #sendComplete(all: readonly Waiting[]): void {
    const { list } = this.#inputs;
    if (list.length === 0 || this.#ended) return;
    for (const waiting of all)
      while (list.every(({ slot }) => (waiting.held.get(slot)?.size ?? 0) > 0)) {
        const pending = this.detached.run(() => this.#complete(waiting, null));
        if (pending === undefined) continue;
        // What comes meanwhile may complete tuples too: what is behind keeps their order.
        void pending.then(() => this.#sendComplete([waiting]));
        break;
      }
  }

  /** With an input that has ended and holds nothing, there are no more tuples. */
  #endIfDone(): void {
    if (this.#ended) return;
    const done = this.#inputs.list.some(
      ({ slot, ended }) =>
        ended &&
        [...this.#keys.values()].every(
          ({ held, backlogs }) =>
            (held.get(slot)?.size ?? 0) === 0 && (backlogs.get(slot)?.size ?? 0) === 0,
        ),
    );
    if (!done) return;
    this.#ended = true;
    this.#drop();
    this.#over();
  }

  #drop(): void {
    for (const { backlogs } of this.#keys.values())
      for (const backlog of backlogs.values()) backlog.drop();
    this.#keys.clear();
  }

  #waitingOf(id: string | undefined, key: unknown): Waiting {
    let waiting = this.#keys.get(id);
    if (waiting === undefined) {
      waiting = { id, key, held: new Map(), backlogs: new Map() };
      this.#keys.set(id, waiting);
    }
    return waiting;
  }

  #load(saved: readonly [unknown, unknown[][]][]): void {
    this.#drop();
    for (const [key, held] of saved) {
      const waiting = this.#waitingOf(key === undefined ? undefined : localKey(key).id, key);
      for (const [i, values] of held.entries()) {
        const input = this.#inputs.list[i];
        if (input !== undefined) for (const value of values) fifoOf(waiting, input).add(value);
      }
    }
  }
}

function fifoOf({ held }: Waiting, { slot }: JoinInput): Fifo<unknown> {
  let fifo = held.get(slot);
  if (fifo === undefined) {
    fifo = new Fifo();
    held.set(slot, fifo);
  }
  return fifo;
}
