/**
 * Timers: a function that runs at every multiple of an interval since the start.
 *
 * Due times are counted from the start and not from the last run, so they do not drift: the n-th is the start plus n intervals, on the clock
 * that never jumps. What was missed is left out and not made up for, and two runs never overlap.
 *
 * @module
 */
import { sleep } from '../core/clock.ts';
import { messageOf } from '../core/errors.ts';
import { runJob } from './jobs.ts';
import type { Job, JobScope } from './jobs.ts';

/** Runs a timer until the worker stops. Never rejects: a run that fails is told of, and the next one comes at its time. */
export async function runTimer(job: Job, scope: JobScope): Promise<void> {
  const { clock, signal, leadership, logger, app } = scope;
  const { name, intervalMs } = job;
  const startMs = clock.monotonic();
  const passed = (): number => Math.floor((clock.monotonic() - startMs) / intervalMs);
  let failures = 0;
  for (let n = 1; ; n = Math.max(n, passed()) + 1) {
    try {
      await sleep(clock, startMs + n * intervalMs - clock.monotonic(), signal);
    } catch {
      return;
    }
    const term = job.onLeader ? leadership.term : signal;
    // Somebody else leads, and has a timer too.
    if (term === undefined) continue;
    const slow = warnIfSlow(job, scope);
    const began = Math.max(n, passed());
    const skipped = (): number => Math.max(0, passed() - began);
    const failure = await runJob(job, scope, AbortSignal.any([signal, term]), skipped);
    slow.cancel();
    failures = failure === undefined ? 0 : failures + 1;
    if (failure !== undefined)
      logger.warn(
        { error: failure.error, app, job: name, failures },
        `${name} of app ${app} failed, ${failures === 1 ? 'once' : `${failures} times in a row`}: ${messageOf(failure.error)}; it runs again at its next time`,
      );
  }
}

/** A run that never ends would otherwise look like a timer that has nothing to do. */
function warnIfSlow(
  { name, intervalMs }: Job,
  { clock, logger, app }: JobScope,
): { cancel(): void } {
  const warn = (): void =>
    logger.warn(
      { app, job: name, intervalMs },
      `${name} of app ${app} takes longer than its interval, ${intervalMs} ms; it runs again when it has ended`,
    );
  return clock.setTimer(intervalMs, warn, { unref: true });
}
