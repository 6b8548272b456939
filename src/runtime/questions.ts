/**
 * Questions from outside about the rows of a task. Answers are as of a commit: what is not committed may still be taken back.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { answerQuestion } from '../table/question.ts';
import type { TaskLife } from './task-life.ts';
import type { TaskOptions } from './task-options.ts';

/** Questions that wait at one time, for one task. */
const MAX_WAITING = 10_000;

interface Waiting {
  readonly question: Uint8Array;
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
}

/** The questions to one task. */
export class Questions {
  readonly #task: string;
  readonly #table: TaskOptions['table'];
  /** For the next commit, whose rows answer them. */
  #waiting: Waiting[] = [];

  constructor(task: string, table: TaskOptions['table']) {
    this.#task = task;
    this.#table = table;
  }

  /** `committing` is the commit that is under way, if there is one. @throws `MR_NO_OWNER` (retryable), `MR_OVERFLOW` (retryable). */
  async ask(
    question: Uint8Array,
    life: TaskLife | undefined,
    committing: Promise<void> | undefined,
  ): Promise<Uint8Array> {
    if (life === undefined) throw this.#gone();
    const { answer, dirty } = answerQuestion(life.state, life.time.now, this.#table, question);
    if (dirty) return await this.#wait(question);
    // The row may be part of the commit that is on its way.
    await committing;
    if (life.abort.signal.aborted) throw this.#gone();
    return answer;
  }

  #wait(question: Uint8Array): Promise<Uint8Array> {
    if (this.#waiting.length >= MAX_WAITING)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${MAX_WAITING} questions wait for the next commit of task ${this.#task}; ask fewer at once`,
        { retryable: true, details: { task: this.#task } },
      );
    return new Promise((resolve, reject) => {
      this.#waiting.push({ question, resolve, reject });
    });
  }

  /** To be called where a commit takes its rows; what it returns, when the commit is durable. */
  answer(life: TaskLife): readonly (() => void)[] {
    const waiting = this.#waiting;
    if (waiting.length === 0) return [];
    this.#waiting = [];
    this.#taken = waiting;
    return waiting.map(({ question, resolve, reject }) => {
      try {
        const { answer } = answerQuestion(life.state, life.time.now, this.#table, question);
        return () => resolve(answer);
      } catch (error) {
        return () => reject(error);
      }
    });
  }

  /** Those that a commit under way will answer. */
  #taken: Waiting[] = [];

  /** The task is dropped, or a commit failed: nobody answers what waits. */
  drop(): void {
    const waiting = [...this.#waiting, ...this.#taken];
    this.#waiting = [];
    this.#taken = [];
    for (const { reject } of waiting) reject(this.#gone());
  }

  #gone(): MillraceError {
    return new MillraceError(
      'MR_NO_OWNER',
      `task ${this.#task} is being moved or loaded, so it cannot answer; ask again`,
      { domain: 'external', retryable: true, details: { task: this.#task } },
    );
  }
}
