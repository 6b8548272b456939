/**
 * Whether a task is stalled: it has something to process and yet does not move, though its thread is alive.
 *
 * Pure: whoever watches tasks keeps one {@link Progress} for each and replaces it at every look.
 *
 * @module
 */

/** What is seen of a task at one look. */
export interface TaskSight {
  /** How many records there are that it could process and has not. */
  readonly lag: number;
  /** Any number that changes when it has processed a record, as the sum of its positions does. */
  readonly position: number;
  /** Whether it stands still with a reason that has a limit of its own: a commit, a recovery, a hand-over, a wait for another input. */
  readonly excused: boolean;
}

/** What is remembered of a task between two looks. */
export interface Progress extends TaskSight {
  /** The first look since which it ought to have moved and has not, in monotonic milliseconds; the last look while it moves or need not. */
  readonly stillSinceMs: number;
}

/** What is remembered after a look. */
export function nextProgress(
  before: Progress | undefined,
  sight: TaskSight,
  nowMs: number,
): Progress {
  const still =
    before !== undefined && isOwed(before) && isOwed(sight) && sight.position === before.position;
  return { ...sight, stillSinceMs: still ? before.stillSinceMs : nowMs };
}

/** Whether the task ought to move. */
function isOwed({ lag, excused }: TaskSight): boolean {
  return lag > 0 && !excused;
}

/**
 * Why a task counts as stalled; `undefined` while it does not.
 *
 * @param doing What it was last doing, for the text: the place of an event.
 */
export function stallOf(
  task: string,
  progress: Progress,
  limit: {
    readonly nowMs: number;
    readonly stallAfterMs: number;
    readonly doing?: string | undefined;
  },
): string | undefined {
  const { lag, position, stillSinceMs } = progress;
  const { nowMs, stallAfterMs, doing } = limit;
  const stillMs = nowMs - stillSinceMs;
  if (stillMs < stallAfterMs || !isOwed(progress)) return undefined;
  return `task ${task} has not moved for ${Math.round(stillMs)} ms: it stands at position ${position} with ${lag} ${lag === 1 ? 'record' : 'records'} to go${doing === undefined ? '' : `, last at ${doing}`}; look for a promise in its handlers that never settles, give what they wait for a limit, or allow more than ${stallAfterMs} ms`;
}
