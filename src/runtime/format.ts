/**
 * How the records of a topic are written and read: codecs, validation, event time.
 *
 * @module
 */
import type { FrameBuilder, RecordHeaders } from '../broker/frame-builder.ts';
import type { FrameView } from '../broker/frame-view.ts';
import type { Codec } from '../codec/codec.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import type { Headers } from '../core/types.ts';
import { untraced } from '../core/untraced.ts';

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
  /** Whether `null` stands for no value at all, which deletes its key. Default false. */
  readonly tombstones?: boolean | undefined;
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
  if (isTombstone(format, value)) {
    if (!isTime(timestamp)) throw invalidTimestamp(format, timestamp);
    builder.add(timestamp, encodeKeyOf(format, key), null, headers);
    return;
  }
  const checked = format.checkIn === undefined ? value : format.checkIn(value);
  const time = explicit || format.timestamp === undefined ? timestamp : format.timestamp(checked);
  if (!isTime(time)) throw invalidTimestamp(format, time);
  const keyBytes = encodeKeyOf(format, key);
  const { codec } = format;
  if (builder.text && codec.encodeText !== undefined)
    builder.addText(time, keyBytes, codec.encodeText(value), headers);
  else builder.addValue(time, keyBytes, codec, value, headers);
}

/** Whether `value` stands for no value, which deletes its key. */
function isTombstone(format: TopicFormat, value: unknown): boolean {
  return value === null && format.tombstones === true;
}

function isTime(time: number): boolean {
  return Number.isInteger(time) && Math.abs(time) <= MAX_TIMESTAMP;
}

/** Whether frames of the topic hold JSON text. */
export function isText(format: TopicFormat): boolean {
  return format.codec.encodeText !== undefined;
}

/** A record on its way into a frame: nothing about it can fail any more. */
export interface EncodedRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  /** A JSON text for a frame of texts. */
  readonly value: string | Uint8Array | null;
  readonly headers: RecordHeaders;
}

/** Does everything that {@link addRecord} does but the adding. Same errors. */
export function encodeRecord(
  builder: FrameBuilder,
  format: TopicFormat,
  value: unknown,
  key: KeyRef | null,
  timestamp: number,
  explicit: boolean,
  headers: Headers | null,
): EncodedRecord {
  if (isTombstone(format, value)) {
    if (!isTime(timestamp)) throw invalidTimestamp(format, timestamp);
    const keyBytes = encodeKeyOf(format, key);
    const stored = builder.check(timestamp, keyBytes, 0, headers);
    return { timestamp, key: keyBytes, value: null, headers: stored };
  }
  const checked = format.checkIn === undefined ? value : format.checkIn(value);
  const time = explicit || format.timestamp === undefined ? timestamp : format.timestamp(checked);
  if (!isTime(time)) throw invalidTimestamp(format, time);
  const keyBytes = encodeKeyOf(format, key);
  const { codec } = format;
  const encoded =
    builder.text && codec.encodeText !== undefined
      ? codec.encodeText(value)
      : new Uint8Array(codec.encode(value));
  const bytes =
    encoded === null
      ? 0
      : typeof encoded === 'string'
        ? Buffer.byteLength(encoded)
        : encoded.length;
  const stored = builder.check(time, keyBytes, bytes, headers);
  return { timestamp: time, key: keyBytes, value: encoded, headers: stored };
}

/** Adds what {@link encodeRecord} made for the same builder. */
export function addEncoded(builder: FrameBuilder, record: EncodedRecord): void {
  const { timestamp, key, value, headers } = record;
  if (typeof value === 'string') builder.addText(timestamp, key, value, headers);
  else builder.add(timestamp, key, value, headers);
}

/**
 * Refuses a key that its topic cannot have, and a record without one where the topic's schema of keys demands it: its readers rely on that.
 *
 * @throws `MR_SCHEMA_VIOLATION`, `MR_KEY_MISSING`
 */
export function checkKeyOf({ topic, checkKey }: TopicFormat, key: KeyRef | null): void {
  if (checkKey === undefined) return;
  if (key !== null) {
    checkKey(key.key);
    return;
  }
  try {
    checkKey(null);
  } catch (cause) {
    throw new MillraceError(
      'MR_KEY_MISSING',
      `a record without a key was sent to topic ${topic}, whose keys have a schema that demands one; send it with { key }, or key the stream with groupBy(…) before it goes there`,
      { cause, details: { topic } },
    );
  }
}

/** The bytes of a key in a topic. */
export function encodeKeyOf(format: TopicFormat, key: KeyRef | null): Uint8Array | null {
  if (key === null) return null;
  return format.keyCodec === undefined ? key.bytes : format.keyCodec.encode(key.key);
}

/** Values of a frame, and what is wrong with those that could not be decoded or did not pass their check. */
export interface DecodedFrame {
  readonly values: readonly unknown[];
  /** By index; `undefined` when all is well. */
  readonly errors: ReadonlyMap<number, MillraceError> | undefined;
}

/** Decodes and checks all values of a frame. Never throws: an error belongs to one record, and the others are good. */
export function decodeFrame(format: TopicFormat, frame: FrameView): DecodedFrame {
  const { codec, checkOut } = format;
  let errors: Map<number, MillraceError> | undefined;
  const bad = (i: number, error: unknown): void => {
    errors ??= new Map();
    errors.set(i, decodeError(format, error));
  };
  const whole = wholeJson(format, frame);
  const values = whole ?? [];
  for (let i = values.length; i < frame.count; i++) {
    try {
      const start = frame.valueStart(i);
      values.push(start < 0 ? null : decodeAt(codec, frame.bytes, start, frame.valueEnd(i)));
    } catch (error) {
      values.push(undefined);
      bad(i, error);
    }
  }
  if (checkOut === undefined) return { values, errors };
  for (let i = 0; i < values.length; i++) {
    try {
      if (errors?.has(i) === true) continue;
      // Nothing was stored, so there is nothing to be checked.
      if (values[i] === null && format.tombstones === true && frame.valueStart(i) < 0) continue;
      values[i] = checkOut(values[i]);
    } catch (error) {
      bad(i, error);
    }
  }
  return { values, errors };
}

function decodeAt(codec: Codec<unknown>, bytes: Uint8Array, from: number, to: number): unknown {
  return codec.decodeAt === undefined
    ? codec.decode(bytes.subarray(from, to))
    : codec.decodeAt(bytes, from, to);
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
  const { topic, codec } = format;
  const text = `a record of topic ${topic} is not valid ${codec.name}: ${messageOf(error)}`;
  const options = { cause: error, details: { topic } };
  return untraced(() => new MillraceError('MR_DECODE_FAILED', text, options));
}

function invalidTimestamp(format: TopicFormat, time: unknown): MillraceError {
  return new MillraceError(
    'MR_TIMESTAMP_INVALID',
    `${String(time)} is not an event time for topic ${format.topic}; give integer milliseconds since 1970${format.timestamp === undefined ? '' : ' from its timestamp function'}`,
    { details: { topic: format.topic, timestamp: time } },
  );
}
