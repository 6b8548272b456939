/**
 * `millrace groups` and `millrace lag`: who works on what, and how far they are.
 *
 * @module
 */
import { Command } from 'commander';

import type { Broker, GroupInfo, StoredTask } from '../../broker/broker.ts';
import { placeOptions } from '../args.ts';
import { facts, table } from '../columns.ts';
import { Bounds, lagRows, mustDescribe } from '../lag.ts';
import type { LagRow } from '../lag.ts';
import { withPlace } from '../places.ts';
import type { PlaceOptions } from '../places.ts';
import type { Terminal } from '../terminal.ts';
import { count, time } from '../text.ts';

interface Flags extends PlaceOptions {
  readonly json?: true | undefined;
}

interface GroupRow {
  readonly group: string;
  readonly members: number;
  /** Members that get no tasks, since the others were started with other declarations. */
  readonly waiting: number;
  readonly tasks: number;
  /** Tasks that a member owns. */
  readonly owned: number;
  readonly lag: number;
  readonly lost: number;
  readonly seenAt: number;
}

interface MemberRow {
  readonly member: string;
  readonly pid: number;
  readonly joinedAt: number;
  readonly agrees: boolean;
  readonly tasks: number;
}

interface TaskRow {
  readonly task: string;
  readonly owner: string | null;
  readonly epoch: number;
  readonly positions: readonly Pick<
    LagRow,
    'topic' | 'partition' | 'offset' | 'end' | 'lag' | 'lost'
  >[];
  /** `null`: the task has never committed, so nobody knows what it reads. */
  readonly lag: number | null;
}

export function groupsCommand(terminal: Terminal): Command {
  return placeOptions(new Command('groups'), 'look at its broker')
    .description('list groups (apps and versions), or show one with its members and tasks')
    .argument('[group]', 'show this one')
    .addHelpText('after', '\nexample:\n  $ millrace groups shop --broker file:./data\n')
    .action(async (group: string | undefined, flags: Flags) => {
      await withPlace(terminal, flags, async ({ broker }) => {
        if (group === undefined) await list(terminal, broker, flags);
        else await show(terminal, broker, group, flags);
      });
    });
}

export function lagCommand(terminal: Terminal): Command {
  return placeOptions(new Command('lag'), 'look at its broker and group')
    .description('show how many records are stored and not processed, by group and partition')
    .argument('[group]', 'only this one')
    .addHelpText('after', '\nexample:\n  $ millrace lag shop --json\n')
    .action(async (group: string | undefined, flags: Flags) => {
      await withPlace(terminal, flags, async ({ broker, parts }) => {
        await lag(terminal, broker, group ?? parts?.group, flags);
      });
    });
}

async function list(terminal: Terminal, broker: Broker, flags: Flags): Promise<void> {
  const bounds = new Bounds(broker);
  const rows: GroupRow[] = [];
  for (const group of await broker.groups()) {
    const info = await broker.describeGroup(group);
    // It may have expired since.
    if (info !== undefined) rows.push(groupRow(group, info, await lagRows(group, info, bounds)));
  }
  if (flags.json === true) {
    await terminal.print(JSON.stringify(rows));
    return;
  }
  await terminal.print(
    rows.length === 0
      ? 'no groups'
      : table(
          rows,
          [
            { title: 'group', cell: (row) => row.group },
            {
              title: 'members',
              cell: (row) =>
                row.waiting === 0 ? row.members : `${row.members}, ${row.waiting} waiting`,
              right: true,
            },
            { title: 'tasks', cell: (row) => `${row.owned}/${row.tasks}`, right: true },
            { title: 'lag', cell: (row) => count(row.lag), right: true },
            ...lostColumn(rows),
            { title: 'seen', cell: (row) => time(row.seenAt) },
          ],
          terminal,
        ),
  );
}

async function show(
  terminal: Terminal,
  broker: Broker,
  group: string,
  flags: Flags,
): Promise<void> {
  const info = await mustDescribe(broker, group);
  const rows = await lagRows(group, info, new Bounds(broker));
  const members = memberRows(info);
  const tasks = info.tasks.map((task) => taskRow(task, rows));
  const { seenAt, lag: behind, lost } = groupRow(group, info, rows);
  if (flags.json === true) {
    await terminal.print(JSON.stringify({ group, seenAt, lag: behind, lost, members, tasks }));
    return;
  }
  await terminal.print(
    facts([
      ['group', group],
      ['seen', time(seenAt)],
      ['lag', count(behind)],
      ['lost', lost === 0 ? undefined : count(lost)],
    ]),
  );
  await terminal.print('');
  await terminal.print(members.length === 0 ? 'no members' : memberTable(members, terminal));
  await terminal.print('');
  await terminal.print(tasks.length === 0 ? 'no tasks' : taskTable(tasks, terminal));
}

async function lag(
  terminal: Terminal,
  broker: Broker,
  group: string | undefined,
  flags: Flags,
): Promise<void> {
  const bounds = new Bounds(broker);
  const rows: LagRow[] = [];
  for (const name of group === undefined ? await broker.groups() : [group])
    rows.push(...(await lagRows(name, await mustDescribe(broker, name), bounds)));
  if (flags.json === true) {
    await terminal.print(JSON.stringify(rows));
    return;
  }
  await terminal.print(
    rows.length === 0
      ? 'nothing has been committed'
      : table(
          rows,
          [
            { title: 'group', cell: (row) => row.group },
            { title: 'task', cell: (row) => row.task },
            { title: 'topic', cell: (row) => row.topic },
            { title: 'partition', cell: (row) => row.partition, right: true },
            { title: 'offset', cell: (row) => count(row.offset), right: true },
            { title: 'end', cell: (row) => count(row.end), right: true },
            { title: 'lag', cell: (row) => count(row.lag), right: true },
            ...lostColumn(rows),
          ],
          terminal,
        ),
  );
}

/** Shown where there is something to show: it is bad news. */
function lostColumn<T extends { readonly lost: number }>(
  rows: readonly T[],
): { title: string; cell: (row: T) => string; right: true }[] {
  return rows.some(({ lost }) => lost > 0)
    ? [{ title: 'lost', cell: (row) => count(row.lost), right: true }]
    : [];
}

function memberTable(members: readonly MemberRow[], terminal: Terminal): string {
  return table(
    members,
    [
      { title: 'member', cell: (row) => row.member },
      { title: 'pid', cell: (row) => row.pid, right: true },
      { title: 'tasks', cell: (row) => row.tasks, right: true },
      { title: 'joined', cell: (row) => time(row.joinedAt) },
      { title: 'topology', cell: (row) => (row.agrees ? 'agrees' : 'differs, waits') },
    ],
    terminal,
  );
}

function taskTable(tasks: readonly TaskRow[], terminal: Terminal): string {
  return table(
    tasks,
    [
      { title: 'task', cell: (row) => row.task },
      { title: 'owner', cell: (row) => row.owner ?? undefined },
      { title: 'epoch', cell: (row) => row.epoch, right: true },
      { title: 'lag', cell: (row) => (row.lag === null ? undefined : count(row.lag)), right: true },
      {
        title: 'positions',
        cell: (row) =>
          row.positions
            .map(({ topic, partition, offset }) => `${topic}[${partition}]@${offset}`)
            .join(' '),
      },
    ],
    terminal,
  );
}

function groupRow(group: string, info: GroupInfo, rows: readonly LagRow[]): GroupRow {
  return {
    group,
    members: info.members.length,
    waiting: info.members.filter(({ agrees }) => !agrees).length,
    tasks: info.tasks.length,
    owned: info.tasks.filter(({ owner }) => owner !== null).length,
    lag: rows.reduce((sum, row) => sum + row.lag, 0),
    lost: rows.reduce((sum, row) => sum + row.lost, 0),
    seenAt: info.seenAt,
  };
}

function memberRows(info: GroupInfo): MemberRow[] {
  return info.members.map(({ member, pid, joinedAt, agrees }) => ({
    member,
    pid,
    joinedAt,
    agrees,
    tasks: info.tasks.filter(({ owner }) => owner === member).length,
  }));
}

function taskRow({ id, owner, epoch }: StoredTask, rows: readonly LagRow[]): TaskRow {
  const positions = rows
    .filter(({ task }) => task === id)
    .map(({ topic, partition, offset, end, lag: behind, lost }) => ({
      topic,
      partition,
      offset,
      end,
      lag: behind,
      lost,
    }));
  return {
    task: id,
    owner,
    epoch,
    positions,
    lag: positions.length === 0 ? null : positions.reduce((sum, row) => sum + row.lag, 0),
  };
}
