/**
 * Values as MessagePack: smaller than JSON, and what JavaScript has beyond JSON survives.
 *
 * Plain records have a reader and a writer of their own (`msgpack/reader.ts`, `msgpack/writer.ts`); everything else takes the
 * way through msgpackr (`msgpack/general.ts`). Bytes and values are the same either way. In MessagePack of other programs a map is
 * an object here, its keys text, and a key `__proto__` is renamed to `__proto_`; objects of ours keep it.
 *
 * @module
 */
import { messageOf, MillraceError } from '../core/errors.ts';
import type { Codec } from './codec.ts';
import { excerpt, excerptHex } from './excerpt.ts';
import { general } from './msgpack/general.ts';
import { MAX_DEPTH, NOT_PLAIN } from './msgpack/plain.ts';
import { Reader } from './msgpack/reader.ts';
import { Patience } from './msgpack/patience.ts';
import { NO_ROOM, Writer } from './msgpack/writer.ts';

export { MAX_DEPTH };

/** Room for a value that is encoded, in bytes, at first and at most; what needs more takes the general way. */
const ROOM = 4_096;
const MAX_ROOM = 1_048_576;

/**
 * MessagePack of plain objects, arrays, strings, numbers, booleans, `null`, `undefined`, bigint, Date, Map, Set and
 * Uint8Array. A Buffer comes back as a Uint8Array, an object without a prototype as a plain one, `-0` as `0`.
 *
 * `encode` throws `MR_ENCODE_FAILED` for everything else (functions, symbols, instances of other classes, lone surrogates,
 * more than {@link MAX_DEPTH} levels, cycles); `decode` throws `MR_DECODE_FAILED` for malformed or trailing bytes and for
 * types that it does not write.
 */
export const msgpack: Codec<unknown> = codec();

function codec(): Codec<unknown> {
  const everything = general();
  const reader = new Reader();
  const reading = new Patience();
  const writer = new Writer();
  const writing = new Patience();
  let room = Buffer.allocUnsafeSlow(ROOM);
  let busy = false;

  /** Writes a value as the writer does, if that is worth a try. */
  function plainInto(
    value: unknown,
    target: Buffer,
    at: number,
  ): number | typeof NO_ROOM | typeof NOT_PLAIN {
    // A getter of the value that is being written encodes something itself.
    if (busy || !writing.tries()) return NOT_PLAIN;
    busy = true;
    try {
      const end = writer.write(value, target, at, target.length);
      writing.tell(end !== NOT_PLAIN);
      return end;
    } catch (error) {
      throw unencodable(value, error);
    } finally {
      busy = false;
    }
  }

  /** A view of memory that later calls may write to. */
  function anything(value: unknown): Uint8Array {
    try {
      return everything.write(value);
    } catch (error) {
      throw unencodable(value, error);
    }
  }

  function encode(value: unknown): Uint8Array {
    let end = plainInto(value, room, 0);
    while (end === NO_ROOM && room.length < MAX_ROOM) {
      room = Buffer.allocUnsafeSlow(room.length * 4);
      end = plainInto(value, room, 0);
    }
    return new Uint8Array(typeof end === 'number' ? room.subarray(0, end) : anything(value));
  }

  function encodeInto(value: unknown, target: Buffer, at: number): number {
    const end = plainInto(value, target, at);
    if (typeof end === 'number') return end;
    if (end === NO_ROOM) return -1;
    const bytes = anything(value);
    if (bytes.length > target.length - at) return -1;
    target.set(bytes, at);
    return at + bytes.length;
  }

  function decode(bytes: Uint8Array): unknown {
    if (!reading.tries()) return decodeAnything(bytes);
    const value = reader.read(bytes);
    reading.tell(value !== NOT_PLAIN);
    return value === NOT_PLAIN ? decodeAnything(bytes) : value;
  }

  function decodeAt(bytes: Uint8Array, from: number, to: number): unknown {
    if (!reading.tries()) return decodeAnything(bytes.subarray(from, to));
    const value = reader.readAt(bytes, from, to);
    reading.tell(value !== NOT_PLAIN);
    return value === NOT_PLAIN ? decodeAnything(bytes.subarray(from, to)) : value;
  }

  function decodeAnything(bytes: Uint8Array): unknown {
    try {
      return everything.read(bytes);
    } catch (error) {
      throw undecodable(bytes, error);
    }
  }

  return { name: 'msgpack', encode, encodeInto, decode, decodeAt };
}

function unencodable(value: unknown, error: unknown): MillraceError {
  return new MillraceError(
    'MR_ENCODE_FAILED',
    `${excerpt(value)} cannot be written as msgpack: ${messageOf(error)}`,
    { cause: error, details: { codec: 'msgpack' } },
  );
}

function undecodable(bytes: Uint8Array, error: unknown): MillraceError {
  return new MillraceError(
    'MR_DECODE_FAILED',
    `these ${bytes.length} bytes are not a msgpack value of millrace: ${reason(error)}; they begin with ${excerptHex(bytes)}`,
    { cause: error, details: { codec: 'msgpack', bytes: bytes.length } },
  );
}

function reason(error: unknown): string {
  if (error instanceof RangeError) return 'it ends too early or is nested too deep';
  const message = messageOf(error);
  return message.startsWith('Data read, but end')
    ? 'more bytes follow its end'
    : message.slice(0, 120);
}
