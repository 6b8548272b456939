/**
 * `millrace worker`: runs the app of a module until it is told to stop, in one process or several.
 *
 * @module
 */
import { Command, Option } from 'commander';

import { runProgram } from '../../app/main.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Logger, LogLevel } from '../../core/log.ts';
import { createLogger } from '../../log/logger.ts';
import type { LogFormat } from '../../log/logger.ts';
import { wholeNumber } from '../args.ts';
import { describeFailure, nameAndMessage } from '../failure.ts';
import { loadApp } from '../load.ts';
import { startChild, supervise, SUPERVISED } from '../supervise.ts';
import type { StopMessage } from '../supervise.ts';
import type { Terminal } from '../terminal.ts';

interface Flags {
  readonly processes: number;
  readonly logLevel: LogLevel;
  readonly logFormat?: LogFormat | undefined;
}

/** How long a worker may take to stop when it is told to end. */
const DEADLINE = '30s';
/** A supervisor waits a little longer than its workers' own deadline. */
const STOP_WITHIN_MS = 35_000;

export function workerCommand(terminal: Terminal): Command {
  return new Command('worker')
    .description('run the app of a module until SIGTERM or SIGINT')
    .argument('<module>', 'module that exports the app')
    .addOption(
      new Option('-p, --processes <count>', 'run so many processes that share the work')
        .argParser(wholeNumber(1, 1_024))
        .default(1),
    )
    .addOption(
      new Option('--log-level <level>', 'least level of what is logged')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addOption(
      new Option(
        '--log-format <format>',
        'how it is logged (default: pretty on a terminal, else json)',
      ).choices(['pretty', 'json']),
    )
    .addHelpText(
      'after',
      `
The log goes to standard error. The first SIGTERM or SIGINT lets the worker finish what is
under way and commit, for 30 s at most; the second ends it at once.

example:
  $ millrace worker app.ts --processes 4
`,
    )
    .action(async (module: string, flags: Flags) => {
      if (flags.processes > 1) await runProcesses(terminal, module, flags);
      else await runWorker(terminal, module, flags);
    });
}

/** The parent of several workers. It loads nothing of the app. */
async function runProcesses(terminal: Terminal, module: string, flags: Flags): Promise<void> {
  const { log } = await logger(terminal, flags, true);
  const program = process.argv[1];
  if (program === undefined)
    throw new MillraceError('MR_INTERNAL', 'the program does not know its own file', {
      domain: 'internal',
    });
  const args = ['worker', module, '--log-level', flags.logLevel];
  if (flags.logFormat !== undefined) args.push('--log-format', flags.logFormat);
  const group = supervise({
    processes: flags.processes,
    start: () => startChild(program, args, terminal.env),
    clock: terminal.clock,
    log,
    stopWithinMs: STOP_WITHIN_MS,
  });
  const release = onSignals((signal) => {
    log.info({ signal, processes: flags.processes }, `${signal}, stopping (again to end at once)`);
    group.stop(signal);
  });
  try {
    terminal.status = await group.status;
  } finally {
    release();
  }
}

async function runWorker(terminal: Terminal, module: string, flags: Flags): Promise<void> {
  const supervised = terminal.env[SUPERVISED] === '1' && process.connected;
  const { log, json } = await logger(terminal, flags, supervised);
  // What is wrong with the module is the command's failure; the log begins with the worker.
  const app = await loadApp(module);
  try {
    await runProgram(app['~program'](log), {
      deadline: DEADLINE,
      listen: supervised ? onSupervisor : onSignals,
      // Of a supervised worker the parent decides what a second signal means.
      impatient: !supervised,
    });
  } catch (error) {
    if (json) log.error({ error }, nameAndMessage(error));
    else terminal.complain(`${describeFailure(error)}\n`);
    terminal.status = 1;
  }
}

function onSignals(fn: (signal: NodeJS.Signals) => void): () => void {
  process.on('SIGTERM', fn).on('SIGINT', fn);
  return () => void process.off('SIGTERM', fn).off('SIGINT', fn);
}

function nothing(): void {
  // SIGINT would end the process if nobody listened.
}

/** The words of a supervisor, its end, and a SIGTERM to this process alone. SIGINT comes from a terminal, which tells the parent, too. */
function onSupervisor(fn: (reason: string) => void): () => void {
  const onMessage = (message: unknown): void => {
    const said = message as Partial<StopMessage> | null;
    if (said?.millrace === 'stop') fn(String(said.reason));
  };
  const onDisconnect = (): void => fn('the supervisor is gone');
  const onTerm = (): void => fn('SIGTERM');
  process.on('message', onMessage).on('disconnect', onDisconnect);
  process.on('SIGTERM', onTerm).on('SIGINT', nothing);
  // The channel alone must not keep a worker alive.
  process.channel?.unref();
  return () => {
    process.off('message', onMessage).off('disconnect', onDisconnect);
    process.off('SIGTERM', onTerm).off('SIGINT', nothing);
  };
}

async function logger(
  terminal: Terminal,
  flags: Flags,
  several: boolean,
): Promise<{ readonly log: Logger; readonly json: boolean }> {
  const format = flags.logFormat ?? (terminal.watched ? 'pretty' : 'json');
  const log = await createLogger({
    level: flags.logLevel,
    format,
    color: terminal.watched && (terminal.env['NO_COLOR'] ?? '') === '',
    stream: { write: (line) => terminal.complain(line) },
    base: format === 'json' || several ? { pid: process.pid } : {},
    clock: terminal.clock,
  });
  return { log, json: format === 'json' };
}
