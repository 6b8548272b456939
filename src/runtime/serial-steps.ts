/**
 * One event after the other: the way of tasks without agents, and the fast one. As long as no operator answers with a promise there is none.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import type { Processing } from '../table/processing.ts';
import { withWaits } from './waits.ts';
import { settleFailure } from './guard.ts';
import type { TaskInput } from './input.ts';
import { isForPolicy } from './replay.ts';
import { count, finalError, nextInput, setNotAfter } from './steps.ts';
import type { Steps, StepsContext } from './steps.ts';
import type { TaskLife } from './task-life.ts';

/** How many events are taken between two looks at the bounds of a commit. */
const BATCH = 256;

export class SerialSteps implements Steps {
  readonly #context: StepsContext;
  readonly #life: TaskLife;
  readonly #processing: Processing;
  #draining = false;
  #pauses = 0;
  #waiting = false;

  constructor(context: StepsContext, life: TaskLife, processing: Processing) {
    this.#context = context;
    this.#life = life;
    this.#processing = processing;
  }

  step(limit: number): number | Promise<number> {
    if (this.#draining || this.#pauses > 0) return 0;
    setNotAfter(this.#life, this.#context);
    return this.#processing.run(this.#life.cell, () => this.#section(limit, 0));
  }

  throwFailure(): void {}

  /** Whoever commits does it between two events: the worker leaves a task alone while it waits. */
  pause(): undefined {
    this.#pauses++;
    return undefined;
  }

  resume(): void {
    this.#pauses--;
  }

  drain(): void {
    this.#draining = true;
  }

  /** Whoever is at the bound of a commit says so by the counts. */
  readonly full = false;

  /** It goes from one to the next. */
  done(): Iterable<number> {
    return [];
  }

  get quiet(): boolean {
    return !this.#waiting;
  }

  get oldest(): EventCell | undefined {
    return this.#waiting ? this.#life.event : undefined;
  }

  /** From the first event to the last, or to the first promise. */
  #section(limit: number, done: number): number | Promise<number> {
    const processing = this.#processing;
    const { cell } = this.#life;
    processing.current = cell;
    let result: number | Promise<number> | undefined;
    try {
      result = this.#run(limit, done);
      return result;
    } finally {
      if (!isPromise(result)) cell.event = null;
      processing.current = undefined;
    }
  }

  /** The hot loop. */
  #run(limit: number, before: number): number | Promise<number> {
    const life = this.#life;
    const { cell, event, outputs, time, effects } = life;
    const { commit, progress } = this.#context;
    const { every, maxBufferedBytes } = commit;
    let done = before;
    while (done < limit && !this.#draining) {
      if (progress.events >= every || outputs.bytes >= maxBufferedBytes) break;
      const input = nextInput(life.inputs, this.#context);
      if (input === undefined) break;
      if (input.isDone) {
        input.skip();
        time.advance();
        done++;
        continue;
      }
      let ready = Math.min(input.ready, limit - done, every - progress.events, BATCH);
      if (life.inputs.length > 1) ready = 1;
      const { receive } = input;
      while (ready-- > 0 && outputs.bytes < maxBufferedBytes) {
        let value: unknown;
        let loaded = false;
        let handled = false;
        let result: void | Promise<void>;
        try {
          value = input.load(event);
          loaded = true;
          time.advance();
          cell.event = event;
          result = receive(value, event);
          if (cell.waits !== undefined) result = withWaits(cell, result);
        } catch (error) {
          result = this.#failed(input, value, loaded, error);
          handled = true;
        }
        if (result !== undefined) return this.#continue(limit, done, input, value, result, handled);
        if (effects !== null) effects.settle();
        input.done();
        done++;
        count(this.#context, life);
      }
    }
    return done;
  }

  /**
   * Waits for an event, then goes on unless a commit is due: a slow event must not hold up the ones before it. `handled`: it has failed already, and
   * `result` is that of its policy.
   */
  async #continue(
    limit: number,
    before: number,
    input: TaskInput,
    value: unknown,
    result: Promise<void>,
    handled: boolean,
  ): Promise<number> {
    const life = this.#life;
    this.#waiting = true;
    try {
      try {
        await result;
      } catch (error) {
        if (handled) throw error;
        const settled = this.#failed(input, value, true, error);
        if (isPromise(settled)) await settled;
      }
    } finally {
      this.#waiting = false;
    }
    life.cell.event = null;
    const done = before + 1;
    if (life.abort.signal.aborted) return done;
    life.effects?.settle();
    input.done();
    count(this.#context, life);
    const { commit, progress, clock } = this.#context;
    if (done >= limit || clock.monotonic() - progress.firstAt >= commit.intervalMs) return done;
    return this.#section(limit, done);
  }

  /** @throws what the task ends with, if no policy settles the matter. */
  #failed(input: TaskInput, value: unknown, loaded: boolean, error: unknown): void | Promise<void> {
    const { event, policy, guards, effects, cell } = this.#life;
    const { task } = this.#context;
    const failed = (last: unknown): never => {
      throw finalError(task, event, last);
    };
    const by = loaded ? policy : input.decodePolicy;
    if (by.failsAtOnce || effects === null || !isForPolicy(error)) return failed(error);
    cell.event = event;
    // What is settled on the spot is settled for good: it has nothing to wait for.
    const from = by.retries ? event : { ...event, effects: null };
    try {
      const settled = settleFailure(guards, by, event, from, error, () => {
        const result = input.receive(value, event);
        return cell.waits === undefined ? result : withWaits(cell, result);
      });
      return isPromise(settled) ? settled.catch(failed) : settled;
    } catch (last) {
      return failed(last);
    }
  }
}
