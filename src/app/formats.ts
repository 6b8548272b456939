/**
 * Formats of topics: from what users declare, and for the topics between an app's tasks.
 *
 * @module
 */
import type { TopicKeep } from '../broker/broker.ts';
import { bytes } from '../codec/bytes.ts';
import { msgpack } from '../codec/msgpack.ts';
import { isCodec, isSchema, validator } from '../codec/schema.ts';
import type { Schema } from '../codec/schema.ts';
import type { Codec } from '../codec/codec.ts';
import { durationMs } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { checkOptions } from '../core/given.ts';
import type { Known } from '../core/given.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { TopologyCut } from '../topology/topology.ts';
import { inRange } from './options.ts';
import type { Settings } from './options.ts';
import type { TopicOptions } from './topic.ts';

const PARTITIONS = 4;
const MAX_PARTITIONS = 1_024;

/** Of a topic for dead letters that nobody declared: not that of the app's topics, which come and go. */
const DEAD_LETTER_PARTITIONS = 4;

/** Topic options, whatever their types. */
export type AnyTopicOptions = TopicOptions<never, never, never, never>;

const TOPIC_OPTIONS: Known<AnyTopicOptions> = {
  key: true,
  value: true,
  codec: true,
  keyCodec: true,
  partitions: true,
  timestamp: true,
  validate: true,
  retention: true,
  retentionBytes: true,
  compact: true,
};

/** @throws `MR_OPTION_INVALID` */
export function declaredFormat(
  topic: string,
  options: AnyTopicOptions,
  settings: Settings,
): TopicFormat {
  checkOptions(`topic ${topic}`, options, TOPIC_OPTIONS);
  const { validate = 'both' } = options;
  if (!['both', 'in', 'out', 'off'].includes(validate))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `validate of topic ${topic} is ${JSON.stringify(validate)}; give 'both', 'in', 'out' or 'off'`,
    );
  const [valueCodec, valueSchema] = split(options.value, `value of topic ${topic}`);
  const [keyCodec, keySchema] = split(options.key, `key of topic ${topic}`);
  mustBeCodec(options.codec, `codec of topic ${topic}`);
  mustBeCodec(options.keyCodec, `keyCodec of topic ${topic}`);
  if (options.timestamp !== undefined && typeof options.timestamp !== 'function')
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `timestamp of topic ${topic} is no function; give one from a value to milliseconds since 1970`,
    );
  const key = keySchema === undefined ? undefined : validator(keySchema, `a key of topic ${topic}`);
  const ofValue = `a value of topic ${topic}`;
  const sending = validate === 'both' || validate === 'in';
  const reading = validate === 'both' || validate === 'out';
  return {
    topic,
    partitions: inRange(
      `partitions of topic ${topic}`,
      options.partitions ?? PARTITIONS,
      1,
      MAX_PARTITIONS,
    ),
    codec: options.codec ?? valueCodec ?? settings.codec,
    keyCodec: options.keyCodec ?? keyCodec,
    checkIn: sending && valueSchema !== undefined ? validator(valueSchema, ofValue) : undefined,
    checkOut:
      reading && valueSchema !== undefined
        ? validator(valueSchema, ofValue, { traced: false })
        : undefined,
    checkKey: validate === 'off' ? undefined : key,
    timestamp: options.timestamp as ((value: unknown) => number) | undefined,
    maxRecordBytes: settings.maxRecordBytes,
    tombstones: options.compact === true,
  };
}

/** What a declaration says about deleting records; `undefined` when it says nothing. @throws `MR_OPTION_INVALID` */
export function declaredKeep(topic: string, options: AnyTopicOptions): TopicKeep | undefined {
  const { retention, retentionBytes, compact } = options;
  if (retention === undefined && retentionBytes === undefined && compact === undefined)
    return undefined;
  return {
    retentionMs:
      retention === undefined || retention === 'forever'
        ? null
        : durationMs(retention, `retention of topic ${topic}`, 1_000),
    retentionBytes:
      retentionBytes === undefined
        ? null
        : inRange(
            `retentionBytes of topic ${topic}`,
            retentionBytes,
            1_048_576,
            Number.MAX_SAFE_INTEGER,
          ),
    compact: compact ?? false,
  };
}

/** A topic for dead letters that nobody declared: what is stored in it is what was stored before. */
export function deadLetterFormat(topic: string, settings: Settings): TopicFormat {
  return {
    topic,
    partitions: DEAD_LETTER_PARTITIONS,
    codec: bytes,
    keyCodec: undefined,
    checkIn: undefined,
    checkOut: undefined,
    checkKey: undefined,
    timestamp: undefined,
    // With room for what is said about the error.
    maxRecordBytes: settings.maxRecordBytes + 65_536,
  };
}

/**
 * The topic behind a `groupBy`. Values that arrive there as they were read keep their bytes; others are written as msgpack, which
 * carries dates, maps and the like.
 */
export function repartitionFormat(
  cut: TopologyCut,
  from: TopicFormat | undefined,
  settings: Settings,
): TopicFormat {
  return {
    topic: cut.topic,
    partitions: cut.partitions,
    codec: from?.codec ?? msgpack,
    keyCodec: undefined,
    checkIn: undefined,
    checkOut: from?.checkOut,
    checkKey: undefined,
    timestamp: undefined,
    maxRecordBytes: settings.maxRecordBytes * 2,
  };
}

function split(
  declared: unknown,
  what: string,
): readonly [codec: Codec<unknown> | undefined, schema: Schema<unknown, never> | undefined] {
  if (declared === undefined) return [undefined, undefined];
  if (isCodec(declared)) return [declared, undefined];
  if (isSchema(declared)) return [undefined, declared as Schema<unknown, never>];
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `${what} is neither a schema nor a codec; give a Standard Schema (zod, valibot, arktype), a codec, or unchecked<T>()`,
  );
}

function mustBeCodec(codec: unknown, what: string): void {
  if (codec !== undefined && !isCodec(codec))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${what} is no codec; give one of json, msgpack, utf8, bytes and the like, or an object with name, encode and decode`,
    );
}
