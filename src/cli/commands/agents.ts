/**
 * `millrace agents`: the agents of an app, and what they read.
 *
 * @module
 */
import { Command } from 'commander';

import type { AppParts } from '../../app/parts.ts';
import { jsonOption } from '../args.ts';
import { table } from '../columns.ts';
import { withApp } from '../places.ts';
import type { Terminal } from '../terminal.ts';

/** An agent as `--json` prints it. */
interface AgentRow {
  readonly agent: string;
  /** The topics at the head of its source. */
  readonly reads: readonly string[];
  /** The topic that `millrace send @agent` writes to, if there is one. */
  readonly inbox: string | null;
  readonly subTopology: string | null;
  readonly tasks: number;
}

export function agentsCommand(terminal: Terminal): Command {
  return new Command('agents')
    .description('list the agents of an app')
    .argument('<module>', 'module that exports the app')
    .addOption(jsonOption())
    .addHelpText('after', '\nexample:\n  $ millrace agents app.ts\n')
    .action(async (module: string, flags: { readonly json?: true }) => {
      await withApp(module, async (_app, parts) => {
        const rows = agentRows(parts);
        if (flags.json === true) await terminal.print(JSON.stringify(rows));
        else
          await terminal.print(
            rows.length === 0
              ? 'no agents'
              : table(
                  rows,
                  [
                    { title: 'agent', cell: (row) => row.agent },
                    { title: 'reads', cell: (row) => row.reads.join(' ') },
                    { title: 'tasks', cell: (row) => row.tasks, right: true },
                    {
                      title: 'send to',
                      cell: (row) => (row.inbox === null ? undefined : `@${row.agent}`),
                    },
                  ],
                  terminal,
                ),
          );
      });
    });
}

function agentRows(parts: AppParts): AgentRow[] {
  const { subTopologies } = parts.topology();
  return [...parts.agents].map(([agent, inbox]) => {
    const home = subTopologies.find(({ agents }) => agents.includes(agent));
    return {
      agent,
      reads: home?.inputs.map(({ topic }) => topic) ?? [],
      inbox: inbox?.name ?? null,
      subTopology: home?.name ?? null,
      tasks: home?.partitions ?? 0,
    };
  });
}
