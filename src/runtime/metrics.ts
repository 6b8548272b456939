/**
 * What the runtime tells whoever listens, through `diagnostics_channel`: nothing is computed when nobody does.
 *
 * Names begin with `millrace:`. Messages are plain objects; fields may be added, none changes its meaning.
 *
 * @module
 */
import { channel } from 'node:diagnostics_channel';

/** A task has committed. Published to `millrace:commit`. */
export interface CommitMessage {
  /** The app's id, with its version behind `-v` if that is not 1. */
  readonly group: string;
  readonly task: string;
  /** What the commit adds. */
  readonly events: number;
  readonly skipped: number;
  readonly deadLettered: number;
  /** Windows of tables that events came too late for. */
  readonly late: number;
  readonly changedRows: number;
  /** Rows in the task's memory. */
  readonly rows: number;
  /** How long the task waited for events under way, part of `durationMs`. */
  readonly drainMs: number;
  /** From the beginning of the commit until it was durable. */
  readonly durationMs: number;
  /** From the moment at which the task took the first event of the commit until it was durable; 0 without events. */
  readonly latencyMs: number;
}

/** A worker about itself, once a second. Published to `millrace:worker`. */
export interface WorkerMessage {
  readonly group: string;
  readonly member: string;
  /** Tasks that it owns. */
  readonly tasks: number;
  /** Events since the last message, and how long ago that was. */
  readonly events: number;
  readonly elapsedMs: number;
  /** Records in the inputs of its tasks that are not committed. */
  readonly lag: number;
  /** Rows in memory. */
  readonly rows: number;
  /** Records that retention had deleted before its tasks read them, since the group began. */
  readonly lost: number;
}

/** Tasks came or went. Published to `millrace:tasks`. */
export interface TasksMessage {
  readonly group: string;
  readonly member: string;
  readonly gained: readonly string[];
  /** Asked for by the group: they will be released when what is under way is committed. */
  readonly revoked: readonly string[];
  readonly released: readonly string[];
  /** Taken by others. */
  readonly lost: readonly string[];
}

/** A job of an app has run. Published to `millrace:job`. */
export interface JobMessage {
  readonly group: string;
  /** Its name, or which one it is in the order of declaration: `timer 2`. */
  readonly job: string;
  readonly kind: 'task' | 'timer';
  readonly durationMs: number;
  /** Whether it threw, other than because it was aborted. */
  readonly failed: boolean;
  /** For timers: how many times they were due during the run, and did not run. */
  readonly skipped: number;
}

const commits = channel('millrace:commit');
const workers = channel('millrace:worker');
const tasks = channel('millrace:tasks');
const jobs = channel('millrace:job');

export function reportCommit(message: () => CommitMessage): void {
  if (commits.hasSubscribers) commits.publish(message());
}

export function reportTasks(message: TasksMessage): void {
  if (tasks.hasSubscribers) tasks.publish(message);
}

export function reportJob(message: JobMessage): void {
  if (jobs.hasSubscribers) jobs.publish(message);
}

export function reportWorker(message: WorkerMessage): void {
  workers.publish(message);
}

/** Whether somebody listens to {@link WorkerMessage}s, which have to be computed. */
export function wantsWorkerReports(): boolean {
  return workers.hasSubscribers;
}
