/**
 * Several processes that run the same worker: started together, stopped together, and none outlives the others unnoticed.
 *
 * The parent tells its children over their channel, not by signals: Ctrl-C reaches a whole group of processes, and a child that got it
 * from the terminal and from its parent would take the second one for impatience.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';

import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/log.ts';

/** Tells a child that it has a supervisor. */
export const SUPERVISED = 'MILLRACE_SUPERVISED';

/** What a supervisor tells its children. */
export interface StopMessage {
  readonly millrace: 'stop';
  /** Why, for the log. */
  readonly reason: string;
}

/** A child process, as far as a supervisor is concerned. */
export interface Child {
  readonly pid: number | undefined;
  /** False when the child cannot be told any more. */
  tell(message: StopMessage): void;
  kill(): void;
  /** Calls back once, when the child has ended. */
  onExit(fn: (status: number | null, signal: NodeJS.Signals | null) => void): void;
}

/** How processes are supervised. */
export interface SuperviseOptions {
  /** How many, 1 to 1,024. */
  readonly processes: number;
  /** Starts the child of that number, from 0. */
  readonly start: (index: number) => Child;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long children may take to stop before they are killed. Milliseconds. */
  readonly stopWithinMs: number;
}

/** Processes that are being supervised. */
export interface Supervised {
  /** The status of the first child that failed, else 0, when all have ended. */
  readonly status: Promise<number>;
  /** Asks all children to stop; called again, kills them. */
  stop(reason: string): void;
}

/** Starts the processes. When one of them fails the others are stopped, and killed when they take longer than `stopWithinMs`. */
export function supervise(options: SuperviseOptions): Supervised {
  const { processes, clock, log, stopWithinMs } = options;
  const alive = new Map<number, Child>();
  let status = 0;
  let stopping = false;
  const ended = Promise.withResolvers<number>();
  let deadline: { cancel(): void } | undefined;

  const killAll = (): void => {
    for (const child of alive.values()) child.kill();
  };
  const stop = (reason: string): void => {
    if (stopping) {
      status ||= 1;
      killAll();
      return;
    }
    stopping = true;
    for (const child of alive.values()) child.tell({ millrace: 'stop', reason });
    deadline = clock.setTimer(stopWithinMs, () => {
      log.error({ processes: alive.size, stopWithinMs }, 'workers did not stop and are killed');
      status ||= 1;
      killAll();
    });
  };
  const exited = (index: number, code: number | null, signal: NodeJS.Signals | null): void => {
    const child = alive.get(index);
    if (child === undefined) return;
    alive.delete(index);
    const how = statusOf(code, signal);
    if (how !== 0 && status === 0) status = how;
    if (how !== 0 && !stopping) {
      log.error(
        { pid: child.pid, status: how, signal },
        'a worker process failed, the others are stopped',
      );
      stop('another worker process failed');
    } else if (how === 0 && !stopping)
      log.info({ pid: child.pid, processes: alive.size }, 'a worker process ended');
    if (alive.size > 0) return;
    deadline?.cancel();
    ended.resolve(status);
  };
  for (let index = 0; index < processes; index++) {
    const child = options.start(index);
    alive.set(index, child);
    child.onExit((code, signal) => exited(index, code, signal));
  }
  return { status: ended.promise, stop };
}

/** What a shell would say. */
function statusOf(code: number | null, signal: NodeJS.Signals | null): number {
  if (code !== null) return code;
  return signal === null ? 1 : 128 + constants.signals[signal];
}

/** Starts a program of this Node, with the same options and streams, as a supervised child. */
export function startChild(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Child {
  const child: ChildProcess = spawn(process.execPath, [...process.execArgv, program, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: { ...env, [SUPERVISED]: '1' },
  });
  return {
    pid: child.pid,
    // A channel that has closed belongs to a child that is about to end.
    tell: (message) => void (child.connected && child.send(message, () => undefined)),
    kill: () => void child.kill('SIGKILL'),
    onExit: (fn) => {
      let told = false;
      const tell = (code: number | null, signal: NodeJS.Signals | null): void => {
        if (told) return;
        told = true;
        fn(code, signal);
      };
      child.on('exit', tell);
      // It could not be started.
      child.on('error', () => tell(1, null));
    },
  };
}
