/**
 * Bytes, compressed. Whole values only: use it for values of some kilobytes, smaller ones grow.
 *
 * @module
 */
import { constants, gunzipSync, gzipSync } from 'node:zlib';

import { messageOf, MillraceError } from '../core/errors.ts';
import { bytesOnly } from './bytes.ts';
import type { Codec } from './codec.ts';

/** What {@link gzipWith} takes. */
export interface GzipOptions {
  /** 1 (fastest) to 9 (smallest). Default 6. */
  readonly level?: number | undefined;
  /** Longest value, before compression and after decompression. Default 64 MiB (67,108,864), at most 1 GiB. */
  readonly maxBytes?: number | undefined;
}

const GIB = 2 ** 30;

/**
 * A gzip codec (RFC 1952). It refuses to expand anything beyond `maxBytes`, so that a few hostile kilobytes cannot take the
 * memory of the process, and what is longer is not encoded either. Called `'gzip'` whatever the options: all of them read
 * what any of them wrote.
 *
 * `encode` throws `MR_ENCODE_FAILED` for what is not bytes or too long; `decode` throws `MR_DECODE_FAILED` for what is not
 * exactly one intact gzip member or expands too far.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for options out of range.
 */
export function gzipWith(options: GzipOptions = {}): Codec<Uint8Array> {
  const { level = 6, maxBytes = 64 * 2 ** 20 } = options;
  integerOption('level', level, 1, 9);
  integerOption('maxBytes', maxBytes, 1, GIB);
  return {
    name: 'gzip',
    encode(value) {
      if (bytesOnly(value, 'gzip').length > maxBytes)
        throw new MillraceError(
          'MR_ENCODE_FAILED',
          `a value of ${value.length} bytes is longer than the gzip codec's maxBytes of ${maxBytes}; split it or raise maxBytes`,
          { details: { codec: 'gzip', bytes: value.length } },
        );
      return gzipSync(value, { level });
    },
    decode(bytes) {
      try {
        return expand(bytes, maxBytes);
      } catch (error) {
        const why =
          error instanceof RangeError
            ? `they expand to more than maxBytes (${maxBytes})`
            : messageOf(error);
        throw new MillraceError(
          'MR_DECODE_FAILED',
          `these ${bytes.length} bytes are not a gzip value: ${why}`,
          { cause: error, details: { codec: 'gzip', bytes: bytes.length } },
        );
      }
    },
  };
}

/** {@link gzipWith} with its defaults. */
export const gzip: Codec<Uint8Array> = gzipWith();

/** With `info`, zlib also hands out its engine, which knows how much of the input it has used. */
interface Expanded {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

function expand(bytes: Uint8Array, maxBytes: number): Uint8Array {
  const result: unknown = gunzipSync(bytes, {
    finishFlush: constants.Z_FINISH,
    info: true,
    maxOutputLength: maxBytes,
  });
  const { buffer, engine } = result as Expanded;
  // zlib ignores what follows the last member.
  if (engine.bytesWritten !== bytes.length)
    throw new Error(`${bytes.length - engine.bytesWritten} bytes follow its end`);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function integerOption(option: string, value: number, least: number, greatest: number): void {
  if (!Number.isInteger(value) || value < least || value > greatest)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${option} of the gzip codec is ${String(value)}; give an integer from ${least} to ${greatest}`,
      { details: { option, value } },
    );
}
