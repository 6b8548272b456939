/**
 * How the records of a topic are written and read: codecs, validation, event time.
 *
 * @module
 */
import type { FrameBuilder } from '../broker/frame-builder.ts';
import type { FrameView } from '../broker/frame-view.ts';
import type { Codec } from '../codec/codec.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import type { Headers } from '../core/types.ts';

/** Everything that is known of a topic's records. */
export interface TopicFormat {
  readonly topic: string;
  readonly partitions: number;
  readonly codec: Codec<unknown>;
  /** `undefined`: canonical key bytes. */
  readonly keyCodec: Codec<unknown> | undefined;
  /** Checks and completes a value that is sent; what it returns is used for the timestamp only, the input is what is encoded. */
  readonly checkIn: ((value: unknown) => unknown) | undefined;
  /** Checks and completes a value that is read. */
  readonly checkOut: ((value: unknown) => unknown) | undefined;
  readonly checkKey: ((key: unknown) => unknown) | undefined;
  readonly timestamp: ((value: unknown) => number) | undefined;
  readonly maxRecordBytes: number;
}

/** Largest event time either way, in milliseconds: about 71,000 years. */
const MAX_TIMESTAMP = 2 ** 51;

/**
 * Encodes a record into `builder`. `timestamp` is used unless the topic takes event time from values and `explicit` is not set.
 *
 * @throws `MR_SCHEMA_VIOLATION`, `MR_ENCODE_FAILED`, `MR_TIMESTAMP_INVALID`, `MR_RECORD_TOO_LARGE`; nothing is added then.
 */
export function addRecord(
  builder: FrameBuilder,
  format: TopicFormat,
  value: unknown,
  key: KeyRef | null,
  timestamp: number,
  explicit: boolean,
  headers: Headers | null,
): void {
  const checked = format.checkIn === undefined ? value : format.checkIn(value);
  const time = explicit || format.timestamp === undefined ? timestamp : format.timestamp(checked);
  if (!Number.isInteger(time) || Math.abs(time) > MAX_TIMESTAMP)
    throw invalidTimestamp(format, time);
  const keyBytes =
    key === null
      ? null
      : format.keyCodec === undefined
        ? key.bytes
        : format.keyCodec.encode(key.key);
  const { codec } = format;
  if (builder.text && codec.encodeText !== undefined)
    builder.addText(time, keyBytes, codec.encodeText(value), headers);
  else builder.add(time, keyBytes, codec.encode(value), headers);
}

/** Whether frames of the topic hold JSON text. */
export function isText(format: TopicFormat): boolean {
  return format.codec.encodeText !== undefined;
}

/** Values of a frame, with the first one that could not be decoded or did not pass its check. */
export interface DecodedFrame {
  readonly values: readonly unknown[];
  /** Values from this index on are missing. Equal to the number of records when all is well. */
  readonly good: number;
  readonly error: MillraceError | undefined;
}

/** Decodes and checks all values of a frame. Never throws: an error belongs to one record, and those before it are good. */
export function decodeFrame(format: TopicFormat, frame: FrameView): DecodedFrame {
  const { codec, checkOut } = format;
  const values = wholeJson(format, frame) ?? [];
  let error: MillraceError | undefined;
  try {
    for (let i = values.length; i < frame.count; i++) {
      const bytes = frame.value(i);
      values.push(bytes === null ? null : codec.decode(bytes));
    }
  } catch (cause) {
    error = decodeError(format, cause);
  }
  if (checkOut === undefined) return { values, good: values.length, error };
  let good = 0;
  try {
    for (; good < values.length; good++) values[good] = checkOut(values[good]);
  } catch (cause) {
    error = decodeError(format, cause);
  }
  return { values, good, error };
}

/** All values at once where the frame allows it; `undefined` sends the caller to the records one by one, to find the bad one. */
function wholeJson(format: TopicFormat, frame: FrameView): unknown[] | undefined {
  if (!frame.text || format.codec.name !== 'json') return undefined;
  try {
    const values = frame.json();
    return values.length === frame.count ? values : undefined;
  } catch {
    return undefined;
  }
}

function decodeError(format: TopicFormat, error: unknown): MillraceError {
  if (MillraceError.is(error)) return error;
  return new MillraceError(
    'MR_DECODE_FAILED',
    `a record of topic ${format.topic} is not valid ${format.codec.name}: ${messageOf(error)}`,
    {
      cause: error,
      details: { topic: format.topic },
    },
  );
}

function invalidTimestamp(format: TopicFormat, time: unknown): MillraceError {
  return new MillraceError(
    'MR_TIMESTAMP_INVALID',
    `${String(time)} is not an event time for topic ${format.topic}; give integer milliseconds since 1970${format.timestamp === undefined ? '' : ' from its timestamp function'}`,
    { details: { topic: format.topic, timestamp: time } },
  );
}
