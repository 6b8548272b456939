/**
 * `millrace dead-letters`: what was put aside, why, and back on its way.
 *
 * @module
 */
import { Command, Option } from 'commander';

import type { Broker } from '../../broker/broker.ts';
import { limit as parseLimit, partitionOption, placeOptions, wholeNumber } from '../args.ts';
import { storedCodec } from '../codecs.ts';
import { facts, table } from '../columns.ts';
import { letters, mustLetter } from '../letters.ts';
import type { Letter, LetterInfo } from '../letters.ts';
import { withPlace } from '../places.ts';
import type { Place, PlaceOptions } from '../places.ts';
import { headersOf, keyOf, readingOf, showRecord, text } from '../records.ts';
import type { Terminal } from '../terminal.ts';
import { count, time } from '../text.ts';
import { resendCommand } from './resend.ts';

interface Flags extends PlaceOptions {
  readonly limit?: number | undefined;
  readonly partition?: number | undefined;
  readonly json?: true | undefined;
}

/** A letter as `--json` prints it. */
interface LetterRow extends LetterInfo {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly receivedAt: number;
  readonly key: unknown;
}

const DEFAULT_LIMIT = 100;

export function deadLettersCommand(terminal: Terminal): Command {
  const command = new Command('dead-letters')
    .usage('<command> [options]')
    .description('list, show and re-send the records that an error policy has put aside')
    .addHelpText(
      'after',
      `
examples:
  $ millrace dead-letters list orders-dead
  $ millrace dead-letters show orders-dead 17 --partition 2
  $ millrace dead-letters resend orders-dead --all
`,
    );
  command.addCommand(
    placeOptions(new Command('list'), 'look at its broker, with its codecs')
      .description('list dead letters, of one topic or of all (default)')
      .argument('[topic]', 'topic that holds dead letters')
      .addOption(
        new Option('-n, --limit <count>', 'list at most so many; all for no limit')
          .argParser(parseLimit)
          .default(DEFAULT_LIMIT),
      )
      .addOption(partitionOption('only this partition'))
      .addHelpText('after', '\nexample:\n  $ millrace dead-letters list orders-dead --json\n')
      .action(async (topic: string | undefined, flags: Flags) => {
        await withPlace(terminal, flags, async (place) => {
          await list(terminal, place, topic, flags);
        });
      }),
    { isDefault: true },
  );
  command.addCommand(
    placeOptions(new Command('show'), 'look at its broker, with its codecs')
      .description('show one dead letter whole')
      .argument('<topic>', 'topic that holds it')
      .argument('<offset>', 'its offset', wholeNumber(0))
      .addOption(partitionOption('its partition').default(0))
      .addHelpText(
        'after',
        '\nexample:\n  $ millrace dead-letters show orders-dead 17 --partition 2\n',
      )
      .action(async (topic: string, offset: number, flags: Flags) => {
        await withPlace(terminal, flags, async (place) => {
          await show(terminal, place, topic, offset, flags);
        });
      }),
  );
  command.addCommand(resendCommand(terminal));
  return command;
}

async function list(
  terminal: Terminal,
  place: Place,
  topic: string | undefined,
  flags: Flags,
): Promise<void> {
  const { broker } = place;
  const { limit = DEFAULT_LIMIT, partition } = flags;
  const topics = topic === undefined ? await sourceTopics(broker, partition ?? 0) : [topic];
  const rows: LetterRow[] = [];
  let more = false;
  search: for (const name of topics) {
    const where = { topic: name, partition, from: { at: 'start' } } as const;
    for await (const letter of letters(terminal, broker, where)) {
      if (rows.length >= limit) {
        more = true;
        break search;
      }
      rows.push(rowOf(place, letter));
    }
  }
  if (flags.json === true) await terminal.print(JSON.stringify(rows));
  else await terminal.print(rows.length === 0 ? 'no dead letters' : letterTable(rows, terminal));
  if (more)
    terminal.complain(`there are more than ${count(limit)}; add --limit all for all of them\n`);
}

async function show(
  terminal: Terminal,
  place: Place,
  topic: string,
  offset: number,
  flags: Flags,
): Promise<void> {
  const letter = await mustLetter(terminal, place.broker, {
    topic,
    partition: flags.partition ?? 0,
    offset,
  });
  // Its bytes are those of where it came from; the topic that holds it may take letters of many.
  const spec =
    (await place.broker.describeTopic(letter.info.origin.topic)) ??
    (await place.broker.describeTopic(topic));
  const format = (
    place.parts?.topics.get(letter.info.origin.topic) ?? place.parts?.topics.get(topic)
  )?.['~format'];
  const reading =
    format === undefined
      ? {
          codec: spec === undefined ? undefined : storedCodec(spec.codec),
          keyCodec: spec?.keyCodec === undefined ? undefined : storedCodec(spec.keyCodec),
          check: undefined,
        }
      : // The value may be one that its schema refuses: that is why it lies here.
        { ...readingOf(format), check: undefined };
  const { value, error } = showRecord(letter.record, reading);
  const whole = { ...rowOf(place, letter), headers: headersOf(letter.headers), value };
  if (flags.json === true) {
    await terminal.print(JSON.stringify(whole));
    return;
  }
  const { origin, task, attempts } = letter.info;
  const headers = Object.entries(whole.headers);
  await terminal.print(
    facts([
      ['letter', `${topic}[${whole.partition}]@${whole.offset}`],
      ['from', `${origin.topic}[${origin.partition}]@${origin.offset}`],
      ['time', time(origin.timestamp ?? whole.timestamp)],
      ['put aside', time(whole.receivedAt)],
      ['error', errorText(whole)],
      ['task', task ?? undefined],
      ['attempts', attempts === null ? undefined : String(attempts)],
      ['key', whole.key === null ? '-' : text(whole.key)],
      ...headers.map(([name, each]) => [`header ${name}`, text(each)] as const),
      [
        'value',
        error === undefined ? JSON.stringify(value) : `${JSON.stringify(value)} (${error})`,
      ],
    ]),
  );
}

/** Topics of users that have the partition. */
async function sourceTopics(broker: Broker, partition: number): Promise<string[]> {
  const specs = await broker.topics();
  return specs
    .filter(({ role, partitions }) => role === 'source' && partition < partitions)
    .map(({ name }) => name);
}

function rowOf({ parts }: Place, { record, info }: Letter): LetterRow {
  const { topic, partition, offset, timestamp, receivedAt, key } = record;
  const keyCodec = parts?.topics.get(info.origin.topic)?.['~format'].keyCodec;
  return {
    topic,
    partition,
    offset,
    timestamp,
    receivedAt,
    key: key === null ? null : keyOf(key, keyCodec),
    ...info,
  };
}

function letterTable(rows: readonly LetterRow[], terminal: Terminal): string {
  return table(
    rows,
    [
      { title: 'letter', cell: (row) => `${row.topic}[${row.partition}]@${row.offset}` },
      {
        title: 'from',
        cell: ({ origin }) => `${origin.topic}[${origin.partition}]@${origin.offset}`,
      },
      { title: 'time', cell: (row) => time(row.origin.timestamp ?? row.timestamp) },
      { title: 'tries', cell: (row) => row.attempts ?? undefined, right: true },
      { title: 'key', cell: (row) => (row.key === null ? undefined : text(row.key)) },
      { title: 'error', cell: errorText },
    ],
    terminal,
  );
}

function errorText({ error }: LetterInfo): string {
  return [error.code ?? error.name, error.message].filter((part) => part !== null).join(': ');
}
