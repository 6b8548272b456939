/**
 * Work that goes on after the `emit` that caused it has been answered: values in a buffer, groups that a timer sends.
 *
 * Nobody waits for it, so what goes wrong in it is kept for whoever asks next: an `emit` into the same graph, whose own value is dealt with
 * first; `drain`; or `close`. Of several failures between two questions the first is told.
 *
 * @module
 */
import { InFlight } from './in-flight.ts';
import type { Work } from './in-flight.ts';

/** The detached work of one operator. */
export class Detached {
  readonly #inFlight = new InFlight();
  /** What is on its way through those behind. */
  readonly #sending = new InFlight();
  #failure: { readonly error: unknown } | undefined;
  #closed = false;
  readonly #told: (() => void) | undefined;

  /** @param told Called when somebody has been told of a failure. */
  constructor(told?: () => void) {
    this.#told = told;
  }

  /** Something was accepted, and its `emit` does not wait for it. Call `done` of what is returned when it is finished, or {@link fail} and `done`. */
  begin(): Work {
    return this.#inFlight.begin();
  }

  /** Keeps an error until somebody asks. */
  fail(error: unknown): void {
    if (!this.#closed) this.#failure ??= { error };
  }

  /** Runs something that nobody waits for. Returns nothing when it is finished, else a promise of that moment, which never rejects. */
  run(work: () => void | Promise<void>): void | Promise<void> {
    const { done } = this.begin();
    let pending: void | Promise<void> = undefined;
    try {
      pending = work();
    } catch (error) {
      this.fail(error);
    }
    if (pending === undefined) {
      done();
      return;
    }
    return this.sending(pending).then(done, (error: unknown) => {
      this.fail(error);
      done();
    });
  }

  /** A value is on its way through those behind. Returns a promise of the same outcome. */
  sending(pending: Promise<void>): Promise<void> {
    return this.#sending.track(pending);
  }

  /** Resolves when what is on its way through those behind has come through, however it went; not what is held back. */
  sent(): Promise<void> {
    return this.#sending.settled();
  }

  /** Whether something has failed, and nobody has asked since. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return this.#inFlight.idle;
  }

  /** @throws what went wrong since somebody asked last. */
  report(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure === undefined) return;
    this.#told?.();
    throw failure.error;
  }

  /**
   * Nothing when all is finished, else a promise of the moment when everything accepted so far is.
   *
   * @throws as {@link report}; the promise rejects with it.
   */
  settled(): void | Promise<void> {
    if (!this.#inFlight.idle) return this.#inFlight.settled().then(() => this.report());
    this.report();
  }

  /**
   * Resolves when everything is finished, what was accepted meanwhile too: those that wait for room in front of an operator are not counted yet, and nobody
   * else waits for them when only a part of the graph ends. Rejects with the first failure, then.
   */
  async finished(): Promise<void> {
    const errors: unknown[] = [];
    do
      try {
        await this.settled();
      } catch (error) {
        errors.push(error);
      }
    while (!this.idle);
    if (errors.length > 0) throw errors[0];
  }

  /** The operator has ended, and nobody asks any more. */
  close(): void {
    this.#closed = true;
    this.#failure = undefined;
  }
}
