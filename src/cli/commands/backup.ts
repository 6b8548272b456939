/**
 * `millrace backup` and `millrace compact`: a copy of the directory, and a smaller one in its place.
 *
 * @module
 */
import { Command } from 'commander';

import { backupDirectory, compactDirectory } from '../../broker/backup.ts';
import { brokerOption, jsonOption } from '../args.ts';
import { mustExist } from '../places.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, many } from '../text.ts';

interface Flags {
  readonly broker: string;
  readonly compact?: true | undefined;
  readonly json?: true | undefined;
}

export function backupCommand(terminal: Terminal): Command {
  return new Command('backup')
    .description('copy the directory, also while workers run')
    .argument('<target>', 'directory that is not there yet, or is empty')
    .option('--compact', 'leave out free space: smaller and slower')
    .addOption(brokerOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nexample:\n  $ millrace backup /backups/2026-11-21\n')
    .action(async (target: string, flags: Flags) => {
      mustExist(flags.broker);
      const { clock, random } = terminal;
      const report = await backupDirectory(
        flags.broker,
        target,
        { clock, random },
        { compact: flags.compact },
      );
      await terminal.print(
        flags.json === true
          ? JSON.stringify(report)
          : `${report.directory}: ${many(report.topics, 'topic')}, ${bytes(report.bytes)}`,
      );
    });
}

export function compactCommand(terminal: Terminal): Command {
  return new Command('compact')
    .description('make the file of the directory as small as its content; stop all workers first')
    .addOption(brokerOption())
    .addOption(jsonOption())
    .addHelpText('after', '\nexample:\n  $ millrace compact --broker file:./data\n')
    .action(async (flags: Flags) => {
      mustExist(flags.broker);
      const report = await compactDirectory(flags.broker);
      await terminal.print(
        flags.json === true
          ? JSON.stringify(report)
          : `${report.directory}: ${bytes(report.bytesBefore)} before, ${bytes(report.bytesAfter)} now`,
      );
    });
}
