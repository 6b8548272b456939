/**
 * Stored records as people and programs read them: keys, values and headers decoded, as far as that is possible.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import { decodeKey } from '../codec/key.ts';
import { messageOf } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';
import type { TopicFormat } from '../runtime/format.ts';
import { base64Of, plain } from './plain.ts';
import type { StoredRecord } from './scan.ts';
import { printable, time } from './text.ts';

/** A record as `--json` prints it. Values in the form of `plain`. */
export interface ShownRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: number;
  readonly receivedAt: number;
  readonly key: unknown;
  readonly value: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Why the value is shown as bytes although its codec is known. */
  readonly error?: string;
}

/** How records of a topic are read. */
export interface Reading {
  /** `undefined`: values are shown as bytes. */
  readonly codec: Codec<unknown> | undefined;
  readonly keyCodec: Codec<unknown> | undefined;
  /** Checks and completes a value. */
  readonly check: ((value: unknown) => unknown) | undefined;
}

/** Reads as the app does. */
export function readingOf(format: TopicFormat): Reading {
  return { codec: format.codec, keyCodec: format.keyCodec, check: format.checkOut };
}

/** A record with everything decoded. Never throws: bytes that are not what the codec wrote are shown as bytes, with the reason. */
export function showRecord(record: StoredRecord, reading: Reading): ShownRecord {
  const { topic, partition, offset, timestamp, receivedAt } = record;
  const { value, error } = valueOf(record.value, reading);
  return {
    topic,
    partition,
    offset,
    timestamp,
    receivedAt,
    key: record.key === null ? null : keyOf(record.key, reading.keyCodec),
    value,
    headers: headersOf(record.headers),
    ...(error === undefined ? {} : { error }),
  };
}

/** One line for people: time, place, key, value, headers. */
export function recordLine(shown: ShownRecord): string {
  const { topic, partition, offset, key, value, headers, error } = shown;
  const parts = [
    time(shown.timestamp),
    `${topic}[${partition}]@${offset}`,
    key === null ? '-' : text(key),
    JSON.stringify(value),
  ];
  if (Object.keys(headers).length > 0) parts.push(JSON.stringify(headers));
  if (error !== undefined) parts.push(`(${error})`);
  return printable(parts.join('  '));
}

/** A key for people: strings as they are. */
export function text(key: unknown): string {
  return typeof key === 'string' ? key : JSON.stringify(key);
}

/** A stored key in the form of `plain`; bytes that are no key are shown as bytes. */
export function keyOf(bytes: Uint8Array, codec: Codec<unknown> | undefined): unknown {
  try {
    return plain(codec === undefined ? decodeKey(bytes) : codec.decode(bytes));
  } catch {
    return { $base64: base64Of(bytes) };
  }
}

/** Headers as texts, or as bytes where they are not UTF-8. */
export function headersOf(headers: Headers | null): Readonly<Record<string, unknown>> {
  if (headers === null) return {};
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, headerText(value)]),
  );
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function headerText(value: string | Uint8Array): unknown {
  if (typeof value === 'string') return value;
  try {
    return utf8.decode(value);
  } catch {
    return { $base64: base64Of(value) };
  }
}

function valueOf(
  bytes: Uint8Array | null,
  { codec, check }: Reading,
): { readonly value: unknown; readonly error?: string } {
  if (bytes === null) return { value: null };
  if (codec === undefined) return { value: { $base64: base64Of(bytes) } };
  let decoded: unknown;
  try {
    decoded = codec.decode(bytes);
  } catch (error) {
    return { value: { $base64: base64Of(bytes) }, error: messageOf(error) };
  }
  try {
    return { value: plain(check === undefined ? decoded : check(decoded)) };
  } catch (error) {
    return { value: plainOr(decoded, bytes), error: messageOf(error) };
  }
}

/** What cannot be printed as a value is shown as the bytes that it is stored as. */
function plainOr(value: unknown, bytes: Uint8Array): unknown {
  try {
    return plain(value);
  } catch {
    return { $base64: base64Of(bytes) };
  }
}
