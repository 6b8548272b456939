/**
 * Ends a process whose main thread is stuck in synchronous code, so that whoever supervises it can start another.
 *
 * Such a thread runs no timers and cannot notice anything itself: it holds its tasks until their lease ends, and would then hold memory and
 * sockets for ever. So another thread, `watchdog-thread.ts`, watches its heartbeat. A thread that is alive and waits for something that never
 * comes is not stuck in this sense; see `progress.ts`.
 *
 * @module
 */
import { url as debuggerUrl } from 'node:inspector';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import { Heartbeat, LOOKS } from './watchdog-heartbeat.ts';

/** The exit code of a process that its watchdog ends. */
export const STUCK_EXIT_CODE = 70;

const SHORTEST_MS = 100;

/** See {@link startWatchdog}. */
export interface WatchdogOptions {
  /** How long the main thread may run without a turn of its event loop and without a beat. At least 100 ms. */
  readonly stuckAfterMs: number;
  /** For the beats that say that the event loop turns. The watching thread has the platform's clock. */
  readonly clock: Clock;
}

/** A watchdog that runs. */
export interface Watchdog {
  /**
   * Says that the thread is making progress, and what it does from here on, for the message: a task and the place of its event. Costs an
   * atomic addition; a label that changes costs a copy of its first 240 bytes.
   */
  beat(label?: string): void;
  /** Ends the watching, without a trace. */
  stop(): Promise<void>;
}

/** What the watching thread is given. */
export interface WatchdogThreadData {
  readonly buffer: SharedArrayBuffer;
  readonly stuckAfterMs: number;
  readonly exitCode: number;
}

/**
 * Starts to watch the thread that calls it, which must be the main one.
 *
 * When it is stuck the process writes a line to its standard error, with the last label and where the code is, and ends with
 * {@link STUCK_EXIT_CODE}. Where it is stuck in native code, in which nothing can be asked of it, and on Windows, it is killed instead. Neither
 * runs `finally`, `exit` listeners or any other code. Node may add a line of its own, that it waits for a debugger, which it does not.
 *
 * Nothing is watched in a process that was started under a debugger, since stopping at a breakpoint looks the same. The watchdog keeps no
 * process alive.
 *
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` when `stuckAfterMs` is less than 100 or not finite.
 */
export function startWatchdog({ stuckAfterMs, clock }: WatchdogOptions): Watchdog {
  if (!Number.isFinite(stuckAfterMs) || stuckAfterMs < SHORTEST_MS)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `stuckAfterMs is ${String(stuckAfterMs)}; use a number of at least ${SHORTEST_MS}`,
    );
  const heartbeat = new Heartbeat();
  const watchdog = { beat: (label?: string) => heartbeat.beat(label) };
  if (debuggerUrl() !== undefined) return { ...watchdog, stop: () => Promise.resolve() };

  const data: WatchdogThreadData = {
    buffer: heartbeat.buffer,
    stuckAfterMs,
    exitCode: STUCK_EXIT_CODE,
  };
  // The thread runs beside this file, from source as from dist, and without the process's own preloads.
  const file = import.meta.url.endsWith('.ts') ? './watchdog-thread.ts' : './watchdog-thread.js';
  const thread = new Worker(new URL(file, import.meta.url), {
    name: 'watchdog',
    workerData: data,
    execArgv: [],
  });
  thread.unref();
  const tick = (): void => {
    heartbeat.beat();
    timer = clock.setTimer(stuckAfterMs / LOOKS, tick, { unref: true });
  };
  let timer = clock.setTimer(stuckAfterMs / LOOKS, tick, { unref: true });
  return {
    ...watchdog,
    async stop() {
      timer.cancel();
      await thread.terminate();
    },
  };
}
