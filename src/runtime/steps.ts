/**
 * How a task goes through its events: one after the other, or several at once. What both have in common.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { EventCell } from '../core/event.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import { chooseAgainInMs, chooseInput } from '../window/choose-input.ts';
import type { InputView } from '../window/choose-input.ts';
import { processingFailed } from './guard.ts';
import type { TaskInput } from './input.ts';
import { LetThrough, Replay } from './replay.ts';
import type { TaskLife } from './task-life.ts';
import type { CommitSettings } from './task-options.ts';

/** What has been done since the last commit began. */
export interface Progress {
  events: number;
  /** Monotonic time of the first of them; NaN when there is none. */
  firstAt: number;
}

/** Goes through the events of a task. */
export interface Steps {
  /**
   * Takes up to `limit` events, none while it drains. Returns how many were taken, at once if nothing had to be waited for. At-least-once, what
   * those that have finished since have sent goes to the outputs all the same.
   *
   * @throws what makes the task fail: `MR_PROCESSING_FAILED` naming the event, {@link Replay}, or errors of broker and disk.
   */
  step(limit: number): number | Promise<number>;
  /** What made it fail beside a step, each time: whoever steps must hear of it, and whoever commits. */
  throwFailure(): void;
  /** Takes nothing more until {@link Steps.resume}; resolves when no event is half done. `undefined`: none is. Never rejects. */
  pause(): Promise<void> | undefined;
  resume(): void;
  /** Takes nothing more, and lets go of what user code has not seen yet. */
  drain(): void;
  /** Whether nothing goes on before there is a commit. */
  readonly full: boolean;
  /** Offsets behind the position of an input that are done with all the same, in ascending order. To be asked while it pauses. */
  done(input: TaskInput): Iterable<number>;
  /** Nothing is under way, and nothing that was taken waits. */
  readonly quiet: boolean;
  /** The event that has been in the hands of user code for longest; `undefined` when there is none. */
  readonly oldest: EventCell | undefined;
}

/** What both kinds of steps are given. */
export interface StepsContext {
  readonly task: string;
  readonly clock: Clock;
  readonly commit: CommitSettings;
  readonly atLeastOnce: boolean;
  readonly progress: Progress;
  /** Something has happened that lets the task go on. */
  readonly wake: () => void;
}

/** Counts an event that is done with. */
export function count(context: StepsContext, life: TaskLife): void {
  const { progress } = context;
  life.counters.events++;
  progress.events++;
  if (Number.isNaN(progress.firstAt)) progress.firstAt = context.clock.monotonic();
}

/** Keeps the time since which an input has been at its end. */
function fill(input: TaskInput, clock: Clock): boolean {
  const ready = input.fill();
  if (ready) input.endSince = Number.NaN;
  else if (input.atEnd && Number.isNaN(input.endSince)) input.endSince = clock.monotonic();
  return ready;
}

/** The input to take the next event from, see {@link chooseInput}. A control frame is taken at once. */
export function nextInput(
  inputs: readonly TaskInput[],
  { clock, commit }: StepsContext,
): TaskInput | undefined {
  const only = inputs.length === 1 ? inputs[0] : undefined;
  if (only !== undefined) return fill(only, clock) ? only : undefined;
  const now = clock.monotonic();
  const views = inputs.map((input): InputView => {
    const ready = fill(input, clock);
    const emptyForMs = ready ? 0 : now - input.endSince;
    return {
      next: ready ? input.nextTimestamp : Number.NaN,
      atEnd: input.atEnd,
      emptyForMs,
      idleInMs: input.atEnd ? commit.idleAfterMs - emptyForMs : Infinity,
      time: input.time.now,
    };
  });
  return inputs[chooseInput(views, commit)];
}

/** Milliseconds after which {@link nextInput} may give an input although nothing has come; Infinity when it will not. */
export function nextInputInMs(
  inputs: readonly TaskInput[],
  { clock, commit }: Pick<StepsContext, 'clock' | 'commit'>,
): number {
  if (inputs.length < 2) return Infinity;
  const now = clock.monotonic();
  return chooseAgainInMs(
    inputs.map((input) => ({
      next: input.hasRecord ? input.nextTimestamp : Number.NaN,
      atEnd: input.atEnd,
      emptyForMs: input.hasRecord ? 0 : now - input.endSince,
      idleInMs: input.atEnd ? commit.idleAfterMs - (now - input.endSince) : Infinity,
      time: input.time.now,
    })),
    commit,
  );
}

/** Sets how late the clock lets events be. */
export function setNotAfter(life: TaskLife, context: StepsContext): void {
  const { maxFutureMs } = context.commit;
  if (maxFutureMs === Infinity) return;
  const notAfter = context.clock.now() + maxFutureMs;
  for (const input of life.inputs) input.notAfter = notAfter;
}

/** The error that a task ends with because of an event. `alone`: to process the events anew would not help, as no other one was under way. */
export function finalError(task: string, event: EventCell, error: unknown, alone = true): unknown {
  if (error instanceof Replay)
    return alone ? processingFailed(task, event, builtOn(error.cause)) : error;
  if (error instanceof LetThrough) return processingFailed(task, event, error.cause);
  if (
    MillraceError.is(error) &&
    (error.code === 'MR_CORRUPT' ||
      error.code === 'MR_OFFSET_LOST' ||
      error.code === 'MR_PROCESSING_FAILED' ||
      error.code === 'MR_FENCED' ||
      error.code === 'MR_ABORTED' ||
      error.retryable)
  )
    return error;
  return processingFailed(task, event, error);
}

/** The cause of a failure whose policy can never be carried out: to process the events anew would end in the same. */
function builtOn(cause: unknown): Error {
  const what = cause === undefined ? 'the event has to be processed again' : messageOf(cause);
  return new Error(
    `${what}; what it has changed cannot be taken back, since something else has built on that: let one agent or branch change a row for an event, and acknowledge an event before the next one changes its row`,
    { cause },
  );
}
