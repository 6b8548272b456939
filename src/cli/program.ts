/**
 * The tree of commands, and one run of it.
 *
 * @module
 */
import { Argument, Command, CommanderError } from 'commander';

import { agentsCommand } from './commands/agents.ts';
import { backupCommand, compactCommand } from './commands/backup.ts';
import { deadLettersCommand } from './commands/dead-letters.ts';
import { groupsCommand, lagCommand } from './commands/groups.ts';
import { sendCommand } from './commands/send.ts';
import { tablesCommand } from './commands/tables.ts';
import { tailCommand } from './commands/tail.ts';
import { topicsCommand } from './commands/topics.ts';
import { topologyCommand } from './commands/topology.ts';
import { verifyCommand } from './commands/verify.ts';
import { workerCommand } from './commands/worker.ts';
import { completionScript, shells } from './completion.ts';
import type { Shell } from './completion.ts';
import { describeFailure } from './failure.ts';
import { Interrupted, ReaderGone } from './terminal.ts';
import type { Terminal } from './terminal.ts';

/** Status of a command that was called in a wrong way. */
const USAGE = 2;

/** What happens around the commands. */
export interface ProgramHooks {
  /** Called before a command begins. `signals`: it deals with SIGTERM and SIGINT itself. */
  readonly begin?: ((signals: boolean) => void) | undefined;
}

/** The whole tree. */
export function buildProgram(terminal: Terminal, hooks: ProgramHooks = {}): Command {
  const program = new Command('millrace')
    .usage('<command> [options]')
    .description('Durable stream processing: run apps, and look at what they have stored.')
    .addHelpText(
      'after',
      `
A module is a file that exports one App, by any name; TypeScript runs as it is on Node 22.18
and newer. Commands without a module take --broker, or MILLRACE_BROKER, or file:./data.
Status: 0 done, 1 failed, 2 called in a wrong way.

examples:
  $ millrace worker app.ts
  $ millrace tail orders --follow
`,
    )
    .hook('preAction', (_program, command) => {
      // Not `conflicts`, which the environment variable of the broker would set off, too.
      if (
        command.getOptionValue('module') !== undefined &&
        command.getOptionValueSource('broker') === 'cli'
      )
        command.error("option '--module' brings its own broker and cannot be used with '--broker'");
      hooks.begin?.(command.name() === 'worker');
    });
  for (const command of [
    workerCommand(terminal),
    topologyCommand(terminal),
    agentsCommand(terminal),
    tablesCommand(terminal),
    sendCommand(terminal),
    tailCommand(terminal),
    topicsCommand(terminal),
    groupsCommand(terminal),
    lagCommand(terminal),
    deadLettersCommand(terminal),
    verifyCommand(terminal),
    backupCommand(terminal),
    compactCommand(terminal),
  ])
    program.addCommand(command);
  program.addCommand(completionCommand(terminal, program));
  settle(program, terminal);
  return program;
}

/** Runs a command line and returns the status of the process. Never rejects. */
export async function runProgram(
  argv: readonly string[],
  terminal: Terminal,
  hooks?: ProgramHooks,
): Promise<number> {
  try {
    await buildProgram(terminal, hooks).parseAsync(argv, { from: 'user' });
    return terminal.status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    if (error instanceof ReaderGone) return 0;
    if (error instanceof Interrupted) return error.status;
    terminal.complain(`${describeFailure(error)}\n`);
    return 1;
  }
}

function completionCommand(terminal: Terminal, program: Command): Command {
  return new Command('completion')
    .description('print a script that makes a shell complete commands and options')
    .addArgument(new Argument('<shell>', 'shell').choices(shells))
    .addHelpText('after', '\nexample:\n  $ source <(millrace completion bash)\n')
    .action(async (shell: Shell) => {
      await terminal.print(completionScript(program, shell).trimEnd());
    });
}

/** The same manners for every command: errors are thrown, and usage goes in front of what is wrong. */
function settle(command: Command, terminal: Terminal): void {
  command
    .exitOverride()
    .helpCommand(false)
    .helpOption('-h, --help', 'print this help')
    .configureHelp({ styleTitle: (title) => title.toLowerCase() })
    .configureOutput({
      writeOut: (text) => void terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.complain(text),
      outputError: (text, write) => {
        write(`usage: ${command.createHelp().commandUsage(command)}\n`);
        write(`millrace: ${text.trim().replace(/^error: /, '')}\n`);
      },
      getOutHelpWidth: () => terminal.columns ?? 100,
      getOutHasColors: () => terminal.color,
    });
  for (const child of command.commands) settle(child, terminal);
}
