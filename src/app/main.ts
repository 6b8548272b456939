/**
 * An app as a program: commands, signals, exit status.
 *
 * @module
 */
import { existsSync, realpathSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { systemClock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError, messageOf } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { startWatchdog } from '../runtime/watchdog.ts';
import type { Running } from './running.ts';

/** What a program needs of its app. */
export interface Program {
  readonly id: string;
  /** Where the app logs to. */
  readonly log: Logger;
  /** See `AppOptions.stuckAfter`. */
  readonly stuckAfterMs: number;
  /** Starts a worker, which says through `beat` that it is alive. */
  start(beat: (label: string) => void): Promise<Running>;
  close(): Promise<void>;
  topology(): string;
}

/** How a program is told to stop. */
export interface ProgramOptions {
  /** How long a worker may take to stop. */
  readonly deadline: Duration;
  /** Calls back with every reason to stop. Returns how to listen no more. */
  readonly listen: (told: (reason: string) => void) => () => void;
  /** Whether to be told again ends the process at once, with status 1. */
  readonly impatient: boolean;
}

const USAGE = `usage: worker [--deadline <duration>] | topology

  worker    processes until SIGTERM or SIGINT (default)
            --deadline   how long it may take to stop, such as 10s or 2m (default 30s)
  topology  prints what would run`;

/** Runs a command of the app and sets the exit status of the process. `make` gives the program, which logs to what it is given by default. */
export async function runMain(
  make: (log: Logger) => Program,
  argv: readonly string[],
): Promise<void> {
  const [command = 'worker', ...rest] = argv;
  const deadline = deadlineOf(rest);
  const right = command === 'worker' ? deadline !== undefined : command === 'topology';
  if (!right || (command === 'topology' && rest.length > 0)) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const program = make(lines);
  if (command === 'topology') {
    console.log(program.topology());
    return;
  }
  try {
    await runProgram(program, {
      deadline: deadline ?? '30s',
      listen: onSignals,
      impatient: true,
    });
  } catch (error) {
    program.log.error({ app: program.id, error }, `${program.id}: ${describe(error)}`);
    // Whatever is stuck must not keep a failed worker alive.
    process.exit(1);
  }
}

/**
 * Runs a worker until it is told to stop, under a watchdog that ends the process with status 70 when its thread is stuck.
 *
 * @throws what made the worker fail; `MR_STOP_TIMEOUT`.
 */
export async function runProgram(
  program: Program,
  { deadline, listen, impatient }: ProgramOptions,
): Promise<void> {
  const { id, log, stuckAfterMs } = program;
  let running: Running | undefined;
  let times = 0;
  const release = listen((reason) => {
    times++;
    if (times > 1 && impatient) process.exit(1);
    if (times > 1) return;
    log.info(
      { app: id, reason },
      `${id}: ${reason}, stopping${impatient ? ' (again to end at once)' : ''}`,
    );
    running?.stop({ deadline }).catch(() => undefined);
  });
  // The time of a thread that is stuck is real, whatever the app's clock says.
  const watchdog = startWatchdog({ stuckAfterMs, clock: systemClock() });
  try {
    running = await program.start((label) => watchdog.beat(label));
    log.info({ app: id }, `${id}: worker running`);
    if (times > 0) await running.stop({ deadline });
    await running.done;
    await program.close();
    log.info({ app: id }, `${id}: stopped`);
  } finally {
    release();
    await watchdog.stop();
  }
}

/** The program of the command line, which loads modules that export apps. */
const commandLine = new URL(`../cli/main${extname(import.meta.url)}`, import.meta.url);

/** The arguments of this process, if it is the app's own. @throws `MR_ARGUMENT_INVALID` when it is a command that has only loaded the app's module. */
export function ownArguments(app: string): readonly string[] {
  const [, program = '', ...argv] = process.argv;
  if (existsSync(program) && realpathSync(program) === fileURLToPath(commandLine))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `app ${app} was told to run, by main(), in the module that the command loads; write if (import.meta.main) await app.main(), so that only the program itself does it`,
      { details: { app } },
    );
  return argv;
}

function onSignals(told: (signal: NodeJS.Signals) => void): () => void {
  process.on('SIGTERM', told).on('SIGINT', told);
  return () => void process.off('SIGTERM', told).off('SIGINT', told);
}

/** The deadline among the arguments of `worker`, its default without any, `undefined` when they are wrong. */
function deadlineOf(args: readonly string[]): Duration | undefined {
  const [first, second, ...more] = args;
  if (first === undefined) return '30s';
  const [flag, value = second] = first.split('=', 2);
  if (flag !== '--deadline' || value === undefined || more.length > 0) return undefined;
  if (first !== flag && second !== undefined) return undefined;
  try {
    return durationMs(/^\d+$/.test(value) ? Number(value) : (value as Duration), flag);
  } catch {
    return undefined;
  }
}

/** For an app that was given no logger: what people should know, on standard error. */
const lines: Logger = {
  debug: () => undefined,
  info: (_fields, message) => console.error(message),
  warn: (_fields, message) => console.error(message),
  error: (_fields, message) => console.error(message),
};

/** The texts of an error and of what caused it. */
function describe(error: unknown): string {
  const texts = [MillraceError.is(error) ? `${error.code}: ${error.message}` : messageOf(error)];
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error) texts.push(`  caused by ${cause.stack ?? cause.message}`);
  return texts.join('\n');
}
