/**
 * The checkpoints of a task: when they are taken, and the state that they and the changelog give back.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';
import { checkpointDue, checkpointStep } from '../state/checkpoint.ts';
import { recover } from '../state/recovery.ts';
import type { TaskState } from '../state/task-state.ts';
import type { Turns } from './turns.ts';

/** Takes the checkpoints of one task, beside its processing. */
export class Checkpoints {
  readonly #broker: Broker;
  readonly #changelog: string;
  readonly #partition: number;
  readonly #stateId: number;
  readonly #cacheRows: number;
  readonly #entries: number;
  readonly #turns: Turns;
  readonly #failed: (error: unknown) => void;
  #taking: Promise<void> | undefined;
  /** Changelog entries behind the last checkpoint. */
  #behind = 0;

  constructor(
    broker: Broker,
    changelog: string,
    partition: number,
    stateId: number,
    cacheRows: number,
    entries: number,
    turns: Turns,
    failed: (error: unknown) => void,
  ) {
    this.#turns = turns;
    this.#broker = broker;
    this.#changelog = changelog;
    this.#partition = partition;
    this.#stateId = stateId;
    this.#failed = failed;
    this.#cacheRows = cacheRows;
    this.#entries = entries;
  }

  #ended = false;

  /** The state of the last commit. */
  async recover(): Promise<{ readonly state: TaskState; readonly entries: number }> {
    await this.end();
    this.#ended = false;
    const { state, entries, behind } = await recover(
      this.#broker,
      this.#changelog,
      this.#partition,
      this.#stateId,
      { cacheRows: this.#cacheRows },
    );
    this.#behind = behind;
    return { state, entries };
  }

  /** A commit has added `entries` to the changelog, up to offset `end`. Takes a checkpoint if it is time. */
  committed(state: TaskState, entries: number, end: number): void {
    if (entries > 0) state.committed(end);
    this.#behind += entries;
    if (this.#taking !== undefined || this.#behind === 0) return;
    if (!state.wantsCheckpoint && !this.#due(state.rows)) return;
    const taken = this.#behind;
    // The checkpoints of a process take turns: each holds some of the changelog in memory.
    this.#taking = this.#turns
      .run(() => this.#take(state))
      .then(
        () => {
          this.#behind -= taken;
          this.#taking = undefined;
        },
        (error: unknown) => {
          // Nothing is lost: the changelog holds it all. A full disk is tried again after the next commits.
          this.#taking = undefined;
          if (!(MillraceError.is(error) && error.retryable)) this.#failed(error);
        },
      );
  }

  /** Takes no more, until the next recovery; resolves when none is under way. */
  async end(): Promise<void> {
    this.#ended = true;
    await this.#taking;
  }

  #due(rows: number): boolean {
    return this.#entries > 0 ? this.#behind >= this.#entries : checkpointDue(this.#behind, rows);
  }

  async #take(state: TaskState): Promise<void> {
    while (!this.#ended) {
      const step = await checkpointStep(
        this.#broker,
        this.#changelog,
        this.#partition,
        this.#stateId,
      );
      state.checkpointed(step.position);
      if (step.complete) return;
    }
  }
}
