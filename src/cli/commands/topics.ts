/**
 * `millrace topics`: what is stored, how much of it, for how long, and what keeps it.
 *
 * @module
 */
import { Command } from 'commander';

import type { Broker, TopicKeep, TopicSpec } from '../../broker/broker.ts';
import { MillraceError } from '../../core/errors.ts';
import { placeOptions } from '../args.ts';
import { facts, table } from '../columns.ts';
import { withPlace } from '../places.ts';
import type { PlaceOptions } from '../places.ts';
import type { Terminal } from '../terminal.ts';
import { bytes, count, duration } from '../text.ts';

/** A topic as `--json` prints it. */
interface TopicRow {
  readonly topic: string;
  readonly role: string;
  readonly owner: string | null;
  readonly codec: string;
  readonly partitions: number;
  /** Offsets between start and end: control frames and compacted records count, too. */
  readonly records: number;
  /** `null`: the broker does not say. */
  readonly bytes: number | null;
  readonly keep: TopicKeep | null;
  readonly declaredBy: string | null;
}

interface PartitionRow {
  readonly partition: number;
  readonly start: number;
  readonly end: number;
  readonly records: number;
  readonly bytes: number | null;
  /** The task that has read least of a repartition topic: what it has not read is not deleted. */
  readonly pinnedBy: {
    readonly group: string;
    readonly task: string;
    readonly offset: number;
  } | null;
}

interface Flags extends PlaceOptions {
  readonly json?: true | undefined;
  readonly internal?: true | undefined;
}

export function topicsCommand(terminal: Terminal): Command {
  return placeOptions(new Command('topics'), 'look at its broker')
    .description('list topics, or show one with its partitions')
    .argument('[topic]', 'show this one')
    .option('--internal', 'list repartition and changelog topics, too')
    .addHelpText('after', '\nexample:\n  $ millrace topics orders --broker file:./data\n')
    .action(async (topic: string | undefined, flags: Flags) => {
      await withPlace(terminal, flags, async ({ broker }) => {
        if (topic === undefined) await list(terminal, broker, flags);
        else await show(terminal, broker, topic, flags);
      });
    });
}

async function list(terminal: Terminal, broker: Broker, flags: Flags): Promise<void> {
  const rows: TopicRow[] = [];
  let hidden = 0;
  for (const spec of await broker.topics()) {
    if (spec.role !== 'source' && flags.internal !== true && flags.json !== true) hidden++;
    else rows.push(rowOf(spec, await partitionRows(broker, spec)));
  }
  if (flags.json === true) {
    await terminal.print(JSON.stringify(rows));
    return;
  }
  if (rows.length > 0)
    await terminal.print(
      table(
        rows,
        [
          { title: 'topic', cell: (row) => row.topic },
          { title: 'partitions', cell: (row) => row.partitions, right: true },
          { title: 'records', cell: (row) => count(row.records), right: true },
          {
            title: 'size',
            cell: (row) => (row.bytes === null ? undefined : bytes(row.bytes)),
            right: true,
          },
          { title: 'codec', cell: (row) => row.codec },
          { title: 'keep', cell: (row) => keepText(row.keep) },
          ...(flags.internal === true
            ? [
                { title: 'role', cell: (row: TopicRow) => row.role },
                { title: 'owner', cell: (row: TopicRow) => row.owner ?? undefined },
              ]
            : []),
        ],
        terminal,
      ),
    );
  else await terminal.print('no topics');
  if (hidden > 0) terminal.complain(`${hidden} internal topics are not shown; add --internal\n`);
}

async function show(
  terminal: Terminal,
  broker: Broker,
  topic: string,
  flags: Flags,
): Promise<void> {
  const spec = await broker.describeTopic(topic);
  if (spec === undefined)
    throw new MillraceError(
      'MR_UNKNOWN_TOPIC',
      `there is no topic ${JSON.stringify(topic)} on ${broker.url}; millrace topics lists those that are`,
      { details: { topic } },
    );
  const rows = await partitionRows(broker, spec);
  const row = rowOf(spec, rows);
  if (flags.json === true) {
    await terminal.print(JSON.stringify({ ...row, partitionRows: rows }));
    return;
  }
  const pinned = rows.some(({ pinnedBy }) => pinnedBy !== null);
  await terminal.print(
    facts([
      ['topic', row.topic],
      ['role', row.role],
      ['owner', row.owner ?? undefined],
      ['codec', row.codec],
      ['records', count(row.records)],
      ['size', row.bytes === null ? undefined : bytes(row.bytes)],
      ['keep', spec.role === 'source' ? keepText(row.keep) : undefined],
      ['declared by', row.declaredBy ?? undefined],
    ]),
  );
  await terminal.print('');
  await terminal.print(
    table(
      rows,
      [
        { title: 'partition', cell: (each) => each.partition, right: true },
        { title: 'start', cell: (each) => count(each.start), right: true },
        { title: 'end', cell: (each) => count(each.end), right: true },
        { title: 'records', cell: (each) => count(each.records), right: true },
        ...(pinned
          ? [
              {
                title: 'pinned at',
                cell: ({ pinnedBy }: PartitionRow) =>
                  pinnedBy === null ? undefined : count(pinnedBy.offset),
                right: true as const,
              },
              {
                title: 'by',
                cell: ({ pinnedBy }: PartitionRow) =>
                  pinnedBy === null ? undefined : `${pinnedBy.group} ${pinnedBy.task}`,
              },
            ]
          : []),
      ],
      terminal,
    ),
  );
}

async function partitionRows(broker: Broker, spec: TopicSpec): Promise<PartitionRow[]> {
  const { owner, role, name } = spec;
  const group =
    role === 'repartition' && owner !== undefined ? await broker.describeGroup(owner) : undefined;
  const rows: PartitionRow[] = [];
  for (let partition = 0; partition < spec.partitions; partition++) {
    const bounds = await broker.bounds(name, partition);
    let pinnedBy: PartitionRow['pinnedBy'] = null;
    for (const task of group?.tasks ?? [])
      for (const position of task.positions)
        if (
          position.topic === name &&
          position.partition === partition &&
          position.offset < (pinnedBy?.offset ?? Infinity)
        )
          pinnedBy = { group: owner as string, task: task.id, offset: position.offset };
    const { start, end } = bounds;
    rows.push({
      partition,
      start,
      end,
      records: end - start,
      bytes: await broker.storedBytes(name, partition),
      pinnedBy,
    });
  }
  return rows;
}

function rowOf(spec: TopicSpec, rows: readonly PartitionRow[]): TopicRow {
  return {
    topic: spec.name,
    role: spec.role,
    owner: spec.owner ?? null,
    codec: spec.codec,
    partitions: spec.partitions,
    records: rows.reduce((sum, row) => sum + row.records, 0),
    bytes: rows.some((row) => row.bytes === null)
      ? null
      : rows.reduce((sum, row) => sum + (row.bytes ?? 0), 0),
    keep: spec.keep ?? null,
    declaredBy: spec.declaredBy ?? null,
  };
}

function keepText(keep: TopicKeep | null): string {
  if (keep === null) return 'everything';
  const rules = [
    ...(keep.retentionMs === null ? [] : [duration(keep.retentionMs)]),
    ...(keep.retentionBytes === null ? [] : [`${bytes(keep.retentionBytes)} per partition`]),
    ...(keep.compact ? ['last of each key'] : []),
  ];
  return rules.length === 0 ? 'everything' : rules.join(', ');
}
