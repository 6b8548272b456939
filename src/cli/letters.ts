/**
 * Dead letters: records that an error policy has put aside, with headers that tell why and where they came from.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';
import type { From } from './args.ts';
import { Progress } from './progress.ts';
import { headersOf } from './records.ts';
import { partitionsOf, scan } from './scan.ts';
import type { StoredRecord } from './scan.ts';
import type { Terminal } from './terminal.ts';

/** What the headers of a dead letter say. */
export interface LetterInfo {
  readonly origin: {
    /** The table, for the result of a closed window. */
    readonly topic: string;
    readonly partition: number;
    /** -1 for the result of a closed window, which was never a record. */
    readonly offset: number;
    /** Event time that the record had there. */
    readonly timestamp: number | null;
  };
  readonly error: {
    readonly name: string | null;
    readonly code: string | null;
    readonly message: string | null;
  };
  readonly task: string | null;
  readonly attempts: number | null;
}

/** A record that is a dead letter. */
export interface Letter {
  readonly record: StoredRecord;
  readonly info: LetterInfo;
  /** The headers that the record had before. */
  readonly headers: Headers | null;
}

/** Names of the headers that make a letter, and of nothing else. */
const PREFIX = 'mr-';

/** The letter in a record, `undefined` for any other record. */
function letterOf(record: StoredRecord): Letter | undefined {
  if (record.headers === null) return undefined;
  const said = headersOf(record.headers);
  const text = (name: string): string | null => {
    const value = said[PREFIX + name];
    return typeof value === 'string' ? value : null;
  };
  const topic = text('origin-topic');
  const partition = numberOf(text('origin-partition'));
  const offset = numberOf(text('origin-offset'));
  if (topic === null || partition === null || offset === null) return undefined;
  const own = Object.entries(record.headers).filter(([name]) => !name.startsWith(PREFIX));
  return {
    record,
    info: {
      origin: { topic, partition, offset, timestamp: numberOf(text('origin-timestamp')) },
      error: {
        name: text('error-name'),
        code: text('error-code'),
        message: text('error-message'),
      },
      task: text('task'),
      attempts: numberOf(text('attempts')),
    },
    headers: own.length === 0 ? null : Object.fromEntries(own),
  };
}

/**
 * The letters among the records of a topic, or of one of its partitions.
 *
 * @throws as `scan`; `MR_ARGUMENT_INVALID` for a partition that is not there.
 */
export async function* letters(
  terminal: Terminal,
  broker: Broker,
  place: { readonly topic: string; readonly partition: number | undefined; readonly from: From },
): AsyncGenerator<Letter> {
  const { topic, from } = place;
  const partitions = await partitionsOf(broker, topic, place.partition);
  const progress = new Progress(terminal, `reading ${topic}`);
  const { signal } = terminal;
  try {
    for await (const record of scan(broker, { topic, partitions, from, signal, progress })) {
      const letter = letterOf(record);
      if (letter !== undefined) yield letter;
    }
  } finally {
    progress.end();
  }
}

/** The letter at a place. @throws `MR_ARGUMENT_INVALID` when there is none. */
export async function mustLetter(
  terminal: Terminal,
  broker: Broker,
  place: { readonly topic: string; readonly partition: number; readonly offset: number },
): Promise<Letter> {
  const { topic, partition, offset } = place;
  const partitions = await partitionsOf(broker, topic, partition);
  const from = { at: 'offset', offset } as const;
  for await (const record of scan(broker, { topic, partitions, from, signal: terminal.signal })) {
    const letter = record.offset === offset ? letterOf(record) : undefined;
    if (letter !== undefined) return letter;
    break;
  }
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `there is no dead letter at offset ${offset} of ${topic}[${partition}]; millrace dead-letters list ${topic} shows those that there are`,
    { details: { topic, partition, offset } },
  );
}

function numberOf(text: string | null): number | null {
  if (text === null || !/^-?\d{1,16}$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : null;
}
