/**
 * `millrace verify`: whether everything that is stored is whole.
 *
 * @module
 */
import { spawn } from 'node:child_process';

import { Command, Option } from 'commander';

import { verifyDirectory } from '../../broker/verify.ts';
import type { StateCheck, VerifyReport } from '../../broker/verify-report.ts';
import { MillraceError } from '../../core/errors.ts';
import { redactUrl } from '../../core/redact.ts';
import { checkCheckpointRow } from '../../state/checkpoint-rows.ts';
import { checkpointPosition } from '../../state/checkpoint.ts';
import { changelogTopic } from '../../topology/topology.ts';
import { brokerOption, jsonOption } from '../args.ts';
import { facts, table } from '../columns.ts';
import { mustExist } from '../places.ts';
import { Progress } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, count } from '../text.ts';

interface Flags {
  readonly broker: string;
  readonly json?: true | undefined;
  readonly here?: true | undefined;
}

export function verifyCommand(terminal: Terminal): Command {
  return new Command('verify')
    .description('check every checksum and row; status 1 when something is damaged')
    .addOption(brokerOption())
    .addOption(jsonOption())
    .addOption(new Option('--here', 'in this process').hideHelp())
    .addHelpText(
      'after',
      `
Only reads; workers may go on meanwhile.

example:
  $ millrace verify --broker file:./data
`,
    )
    .action(async (flags: Flags) => {
      mustExist(flags.broker);
      if (flags.here === true) await verify(terminal, flags);
      else terminal.status = await verifyApart(terminal, flags);
    });
}

/** What a damaged file does to whoever maps it into memory must not take the answer with it. */
async function verifyApart(terminal: Terminal, flags: Flags): Promise<number> {
  const args = [...process.execArgv, process.argv[1] ?? '', 'verify', '--here'];
  args.push('--broker', flags.broker);
  if (flags.json === true) args.push('--json');
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: terminal.env,
  });
  // A signal of the terminal reaches the child, too; one to this process alone is passed on.
  terminal.signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
  return await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (status, signal) => {
      if (signal === null || terminal.signal.aborted) resolve(status ?? 1);
      else
        reject(
          new MillraceError(
            'MR_CORRUPT',
            `reading ${redactUrl(flags.broker)} ended the process with ${signal}, so its file is damaged; restore the directory from a backup`,
            { domain: 'external', details: { signal } },
          ),
        );
    });
  });
}

async function verify(terminal: Terminal, flags: Flags): Promise<void> {
  const { clock, random, signal } = terminal;
  const progress = new Progress(terminal, 'verifying');
  let report: VerifyReport;
  try {
    report = await verifyDirectory(
      flags.broker,
      { clock, random, signal, state: checkpoints },
      ({ records }) => progress.at(records, undefined),
    );
  } finally {
    progress.end();
  }
  terminal.status = report.ok ? 0 : 1;
  if (flags.json === true) {
    await terminal.print(JSON.stringify(report));
    return;
  }
  await terminal.print(
    facts([
      ['topics', count(report.topics)],
      ['partitions', count(report.partitions)],
      ['records', `${count(report.records)} in ${count(report.frames)} frames`],
      ['size', bytes(report.frameBytes)],
      ['groups', count(report.groups)],
      ['tasks', count(report.tasks)],
      ['producers', count(report.producers)],
      ['rows of state', count(report.stateRows)],
      ['problems', count(report.problemCount)],
    ]),
  );
  if (report.problems.length === 0) return;
  await terminal.print('');
  await terminal.print(
    table(
      report.problems,
      [
        { title: 'severity', cell: (row) => row.severity },
        { title: 'kind', cell: (row) => row.kind },
        { title: 'place', cell: (row) => row.place },
        { title: 'problem', cell: (row) => row.text },
      ],
      terminal,
    ),
  );
}

/** What checkpoints of tasks must agree with. */
const checkpoints: StateCheck = {
  changelogOf(group, task) {
    const slash = task.lastIndexOf('/');
    const partition = Number(task.slice(slash + 1));
    return slash > 0 && Number.isInteger(partition)
      ? { topic: changelogTopic(group, task.slice(0, slash)), partition }
      : undefined;
  },
  position: checkpointPosition,
  defectOf: checkCheckpointRow,
};
