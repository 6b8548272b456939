/**
 * `millrace dead-letters resend`: dead letters back on their way.
 *
 * @module
 */
import { Command, Option } from 'commander';

import { MillraceError } from '../../core/errors.ts';
import { partitionOption, placeOptions, wholeNumber } from '../args.ts';
import { letters, mustLetter } from '../letters.ts';
import type { Letter } from '../letters.ts';
import { withPlace } from '../places.ts';
import type { Place, PlaceOptions } from '../places.ts';
import { Resender } from '../resend.ts';
import { partitionsOf } from '../scan.ts';
import type { Terminal } from '../terminal.ts';
import { count, many } from '../text.ts';

interface Flags extends PlaceOptions {
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
  readonly all?: true | undefined;
  readonly again?: true | undefined;
  readonly to?: string | undefined;
  readonly json?: true | undefined;
}

export function resendCommand(terminal: Terminal): Command {
  return placeOptions(new Command('resend'), 'look at its broker, with its codecs')
    .description('send dead letters again: to where they came from, as they were')
    .argument('<topic>', 'topic that holds them')
    .option('--all', 'all that have not been re-sent')
    .addOption(
      new Option('--offset <offset>', 'only this one').argParser(wholeNumber(0)).conflicts('all'),
    )
    .addOption(partitionOption('with --offset its partition, default 0; with --all only this one'))
    .option('--to <topic>', 'send them there instead')
    .option('--again', 'also what has been re-sent before')
    .addHelpText(
      'after',
      `
What has been re-sent is remembered with the records: to run it twice sends nothing twice.
The letters stay where they are.

example:
  $ millrace dead-letters resend orders-dead --all
`,
    )
    .action(async (topic: string, flags: Flags, self: Command) => {
      if (flags.all !== true && flags.offset === undefined)
        self.error('say which letters: --all, or --offset and --partition');
      await withPlace(terminal, flags, async (place) => {
        await resend(terminal, place, topic, flags);
      });
    });
}

async function resend(
  terminal: Terminal,
  { broker, parts }: Place,
  topic: string,
  flags: Flags,
): Promise<void> {
  // Before the resender opens and fences another one: there may be nothing to send.
  const { offset, partition } = flags;
  const single =
    offset === undefined
      ? undefined
      : await mustLetter(terminal, broker, { topic, partition: partition ?? 0, offset });
  if (single === undefined) await partitionsOf(broker, topic, partition);
  else if (isResult(single)) throw notARecord(single);
  const resender = await Resender.open(broker, {
    topic,
    to: flags.to,
    keyCodec: (name) => parts?.topics.get(name)?.['~format'].keyCodec,
  });
  const again = flags.again === true;
  let passedOver = 0;
  let results = 0;
  const take = async (letter: Letter): Promise<void> => {
    if (isResult(letter)) results++;
    else if (resender.has(letter) && !again) passedOver++;
    else await resender.add(letter, single === undefined);
  };
  try {
    if (single !== undefined) await take(single);
    else {
      const from = again
        ? ({ at: 'start' } as const)
        : ({ at: 'offsets', ends: resender.begin } as const);
      for await (const letter of letters(terminal, broker, { topic, partition, from }))
        await take(letter);
    }
  } finally {
    // Those before one that cannot be sent are good.
    await resender.flush();
  }
  const resent = [...resender.sent.values()].reduce((sum, each) => sum + each, 0);
  if (flags.json === true) {
    await terminal.print(
      JSON.stringify({ topic, resent, results, to: Object.fromEntries(resender.sent) }),
    );
    return;
  }
  const where = [...resender.sent].map(([name, sent]) => `${count(sent)} to ${name}`).join(', ');
  const before =
    single !== undefined && passedOver > 0
      ? '; this one had been re-sent before, add --again to do it again'
      : '';
  const stay =
    results === 0
      ? ''
      : `; ${results === 1 ? '1 is the result of a closed window and stays' : `${count(results)} are results of closed windows and stay`}`;
  await terminal.print(
    `${many(resent, 'letter')} re-sent${where === '' ? '' : `: ${where}`}${before}${stay}`,
  );
}

/** Results of closed windows come from tables, whose names may be those of topics. */
function isResult({ info }: Letter): boolean {
  return info.origin.offset < 0;
}

function notARecord({ record, info }: Letter): MillraceError {
  const { topic, partition, offset } = record;
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    `the letter at ${topic}[${partition}]@${offset} is the result of a closed window of table ${info.origin.topic} and was never a record, so there is nothing to send again; the row is in the table for as long as its retention says`,
    { details: { topic, partition, offset, table: info.origin.topic } },
  );
}
