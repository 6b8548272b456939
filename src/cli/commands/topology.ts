/**
 * `millrace topology`: what an app would run.
 *
 * @module
 */
import { Command, Option } from 'commander';

import { jsonOption } from '../args.ts';
import { withApp } from '../places.ts';
import type { Terminal } from '../terminal.ts';

interface Flags {
  readonly format: 'text' | 'json' | 'mermaid';
  readonly json?: true | undefined;
}

export function topologyCommand(terminal: Terminal): Command {
  return new Command('topology')
    .description('print what the app of a module would run, without running it')
    .argument('<module>', 'module that exports the app')
    .addOption(
      new Option('--format <format>', 'how it is printed; mermaid is text of a flowchart')
        .choices(['text', 'json', 'mermaid'])
        .default('text'),
    )
    .addOption(jsonOption('the same as --format json').conflicts('format'))
    .addHelpText('after', '\nexample:\n  $ millrace topology app.ts --format mermaid\n')
    .action(async (module: string, flags: Flags) => {
      await withApp(module, async (app) => {
        await terminal.print(app.topology(flags.json === true ? 'json' : flags.format));
      });
    });
}
