/**
 * `millrace tail`: records of a topic, as they are stored and as they come.
 *
 * @module
 */
import { Command, Option } from 'commander';

import type { Broker } from '../../broker/broker.ts';
import { MillraceError } from '../../core/errors.ts';
import {
  brokerOption,
  from as parseFrom,
  jsonOption,
  limit as parseLimit,
  moduleOption,
  partitionOption,
} from '../args.ts';
import type { From } from '../args.ts';
import { storedCodec } from '../codecs.ts';
import { withPlace } from '../places.ts';
import type { Place, PlaceOptions } from '../places.ts';
import { Progress } from '../progress.ts';
import { readingOf, recordLine, showRecord } from '../records.ts';
import type { Reading } from '../records.ts';
import { partitionsOf, scan } from '../scan.ts';
import type { ScanOptions, StoredRecord } from '../scan.ts';
import type { Terminal } from '../terminal.ts';

interface Flags extends PlaceOptions {
  readonly from?: From | undefined;
  readonly partition?: number | undefined;
  readonly limit?: number | undefined;
  readonly follow?: true | undefined;
  readonly json?: true | undefined;
}

const DEFAULT_LAST = 10;
/** Most records that are kept to find the last ones. */
const MAX_LAST = 10_000;

export function tailCommand(terminal: Terminal): Command {
  return new Command('tail')
    .description('print records of a topic: the last ones, or those from a place on')
    .argument('<topic>', 'topic to read')
    .addOption(
      new Option(
        '--from <place>',
        'start, end, an offset, or an event time (2026-11-21T10:00:00Z) (default: the last 10 records)',
      ).argParser(parseFrom),
    )
    .addOption(partitionOption('only this partition'))
    .addOption(
      new Option(
        '-n, --limit <count>',
        'print at most so many records; without --from, the last so many',
      ).argParser(parseLimit),
    )
    .option('-f, --follow', 'go on with records as they come')
    .addOption(brokerOption())
    .addOption(moduleOption('read with its codec and schema'))
    .addOption(jsonOption('one JSON document a line'))
    .addHelpText(
      'after',
      '\nexample:\n  $ millrace tail orders --from 2026-11-21T10:00:00Z --json | jq .value\n',
    )
    .action(async (topic: string, flags: Flags) => {
      await withPlace(terminal, flags, async (place) => {
        await tail(terminal, place, topic, flags);
      });
    });
}

async function tail(terminal: Terminal, place: Place, topic: string, flags: Flags): Promise<void> {
  const { broker } = place;
  const partitions = await partitionsOf(broker, topic, flags.partition);
  const reading = await readingFor(place, topic);
  const progress = new Progress(terminal, `reading ${topic}`);
  const print = async (record: StoredRecord): Promise<void> => {
    const shown = showRecord(record, reading);
    const line = flags.json === true ? JSON.stringify(shown) : recordLine(shown);
    progress.end();
    await terminal.print(line);
  };
  const base = { topic, partitions, signal: terminal.signal, progress };
  try {
    if (flags.from === undefined) await lastRecords(broker, base, flags, print);
    else
      await recordsFrom(broker, { ...base, from: flags.from, follow: flags.follow }, flags, print);
  } finally {
    progress.end();
  }
}

async function recordsFrom(
  broker: Broker,
  options: ScanOptions,
  { limit = Infinity }: Flags,
  print: (record: StoredRecord) => Promise<void>,
): Promise<void> {
  const { from } = options;
  const wanted: ScanOptions['wanted'] =
    from.at === 'time' ? (frame) => frame.greatestTimestamp >= from.time : undefined;
  let printed = 0;
  for await (const record of scan(broker, { ...options, wanted })) {
    await print(record);
    if (++printed >= limit) return;
  }
}

/** The last records by the time of their receipt, then those that come. */
async function lastRecords(
  broker: Broker,
  base: Omit<ScanOptions, 'from'>,
  flags: Flags,
  print: (record: StoredRecord) => Promise<void>,
): Promise<void> {
  const last = flags.limit ?? DEFAULT_LAST;
  if (last > MAX_LAST)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `the last ${last === Infinity ? '' : `${last} `}records are too many to find; give at most ${MAX_LAST}, or --from start`,
    );
  const found: StoredRecord[] = [];
  const ends = new Map<number, number>();
  for (const partition of base.partitions) {
    const { start, end } = await broker.bounds(base.topic, partition);
    ends.set(partition, end);
    const from: From = { at: 'offset', offset: Math.max(start, end - last) };
    for await (const record of scan(broker, { ...base, partitions: [partition], from }))
      found.push(record);
  }
  found.sort((a, b) => a.receivedAt - b.receivedAt || a.partition - b.partition);
  for (const record of found.slice(-last)) await print(record);
  if (flags.follow !== true) return;
  // Whatever came since the ends were read is printed, too.
  for await (const record of scan(broker, { ...base, from: { at: 'offsets', ends }, follow: true }))
    await print(record);
}

/** How records of the topic are read: as the app declares it, else by the codec that is stored with it. */
async function readingFor({ broker, parts }: Place, topic: string): Promise<Reading> {
  const declared = parts?.topics.get(topic);
  if (declared !== undefined) return readingOf(declared['~format']);
  const spec = await broker.describeTopic(topic);
  return {
    codec: spec === undefined ? undefined : storedCodec(spec.codec),
    keyCodec: spec?.keyCodec === undefined ? undefined : storedCodec(spec.keyCodec),
    check: undefined,
  };
}
