/**
 * Jobs: what a started app does beside its streams, until it is stopped.
 *
 * @module
 */
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { Known } from '../core/given.ts';
import type { Logger } from '../core/log.ts';
import { reportJob } from '../runtime/metrics.ts';
import type { Leadership } from './leader.ts';

/** What a job, a timer and a listener are given. */
export interface JobContext {
  /** Aborts when the worker stops, when this process is no longer the leader if it has to be, and at the deadline of a listener. */
  readonly signal: AbortSignal;
  /** Waits on the app's clock; rejects with `MR_ABORTED` when `signal` aborts. */
  readonly sleep: (duration: Duration) => Promise<void>;
}

/** How a job is run. */
export interface JobOptions {
  /** Whether it runs in one of the app's processes only. Default `false`: in each. */
  readonly onLeader?: boolean | undefined;
  /** What it is called in errors, logs and metrics. Default: `task` or `timer` and its number, from 1. */
  readonly name?: string | undefined;
}

/** Which options of jobs there are. */
export const JOB_OPTIONS: Known<JobOptions> = {
  onLeader: true,
  name: true,
};

/** What is run as a job. */
export type JobFunction = (context: JobContext) => unknown;

/** A declared job. */
export interface Job {
  readonly name: string;
  readonly kind: 'task' | 'timer';
  readonly onLeader: boolean;
  readonly fn: JobFunction;
  /** Of timers, else 0. */
  readonly intervalMs: number;
}

/** What jobs run with. */
export interface JobScope {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly app: string;
  readonly group: string;
  readonly leadership: Leadership;
  /** Aborts when the worker stops. */
  readonly signal: AbortSignal;
}

/** The context of something that `signal` ends. */
export function jobContext(clock: Clock, signal: AbortSignal): JobContext {
  return {
    signal,
    sleep: (duration) => sleep(clock, durationMs(duration, 'duration'), signal),
  };
}

/**
 * Runs a task: once, or once in each term of this process as the leader. Resolves when the worker stops, or there is nothing more to do.
 *
 * @throws `MR_JOB_FAILED` with what it threw, unless it had been told to end.
 */
export async function runTask(job: Job, scope: JobScope): Promise<void> {
  const { leadership, signal } = scope;
  if (!job.onLeader) {
    await runOnce(job, scope, signal);
    return;
  }
  const stopped = aborted(signal);
  while (!signal.aborted) {
    await Promise.race([leadership.begun, stopped]);
    const { term } = leadership;
    if (term === undefined) continue;
    await runOnce(job, scope, AbortSignal.any([signal, term]));
    // What ended by itself has done its work for this term.
    await Promise.race([aborted(term), stopped]);
  }
}

async function runOnce(job: Job, scope: JobScope, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const failure = await runJob(job, scope, signal);
  if (failure === undefined) return;
  const text = `${job.name} of app ${scope.app} failed: ${messageOf(failure.error)}`;
  if (signal.aborted) {
    // It was to end anyway; but what it could not do on its way out must not pass in silence.
    scope.logger.warn({ error: failure.error, job: job.name }, `${text}, after it was told to end`);
    return;
  }
  throw new MillraceError(
    'MR_JOB_FAILED',
    `${text}; catch in it what it can deal with, the worker ends otherwise`,
    { cause: failure.error, details: { app: scope.app, job: job.name } },
  );
}

/** Calls the function, waits for its end, and reports it. What was thrown because of the signal is no failure. */
export async function runJob(
  job: Job,
  { clock, group }: JobScope,
  signal: AbortSignal,
  skipped: () => number = () => 0,
): Promise<{ readonly error: unknown } | undefined> {
  const beganAt = clock.monotonic();
  let failure: { readonly error: unknown } | undefined;
  try {
    await job.fn(jobContext(clock, signal));
  } catch (error) {
    if (!(signal.aborted && isAbort(error, signal))) failure = { error };
  }
  reportJob({
    group,
    job: job.name,
    kind: job.kind,
    durationMs: clock.monotonic() - beganAt,
    failed: failure !== undefined,
    skipped: skipped(),
  });
  return failure;
}

/** Whether an error says no more than that something was aborted. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  if (error === signal.reason) return true;
  if (MillraceError.is(error)) return error.code === 'MR_ABORTED' || error.code === 'MR_CLOSED';
  return error instanceof Error && error.name === 'AbortError';
}

/** Resolves when `signal` aborts. */
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
