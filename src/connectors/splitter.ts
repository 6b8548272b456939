/**
 * Bytes that come in chunks, cut behind each delimiter.
 *
 * Invariant: what is held is the beginning of one frame, at most `maxBytes` long, whatever the sizes of chunks.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { kindOf } from '../core/given.ts';

/** How a {@link Splitter} cuts. */
export interface SplitterOptions {
  /** What ends a frame, 1 to 1,024 bytes. */
  readonly delimiter: string | Uint8Array;
  /** The longest frame, delimiter included. */
  readonly maxBytes: number;
  /** Whether frames keep their delimiter. */
  readonly keep: boolean;
  /** What is cut, for errors: `'a line of app.log'`. */
  readonly what: string;
  /** The option that raises `maxBytes`. */
  readonly option: string;
}

const MAX_DELIMITER = 1_024;

/** Cuts one sequence of chunks into frames. */
export class Splitter {
  readonly #options: SplitterOptions;
  readonly #delimiter: Buffer;
  /** Grows by doubling: a frame that comes byte by byte is copied a few times, not once per byte. */
  #held: Buffer = Buffer.alloc(0);
  #bytes = 0;

  /** @throws {@link MillraceError} `MR_OPTION_INVALID` for a delimiter that is none. */
  constructor(options: SplitterOptions) {
    this.#options = options;
    this.#delimiter = delimiterOf(options.delimiter);
  }

  /** Bytes of a frame that is not complete. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The frames that are complete with `chunk`. Each is good until the next one is asked for: copy what is to be kept. To be read to its end before
   * the next chunk.
   *
   * @throws {@link MillraceError} `MR_RECORD_TOO_LARGE` in the place of a frame that is too long; nothing can be made of what follows.
   */
  *push(chunk: Uint8Array): Generator<Buffer, void> {
    const delimiter = this.#delimiter;
    let from = 0;
    if (this.#bytes > 0) {
      // A delimiter may begin in what is held and end in the chunk.
      const before = this.#bytes;
      const start = Math.max(0, before - delimiter.length + 1);
      const seam = Buffer.concat([
        this.#held.subarray(start, before),
        chunk.subarray(0, delimiter.length - 1),
      ]);
      const inSeam = seam.indexOf(delimiter);
      const inChunk = inSeam >= 0 ? -1 : bufferOf(chunk).indexOf(delimiter);
      if (inSeam < 0 && inChunk < 0) {
        this.#hold(chunk);
        return;
      }
      from = inSeam >= 0 ? start + inSeam + delimiter.length - before : inChunk + delimiter.length;
      this.#hold(chunk.subarray(0, from));
      const frame = this.#held.subarray(0, this.#bytes);
      this.#bytes = 0;
      yield this.#frame(frame);
    }
    const rest = bufferOf(chunk);
    for (;;) {
      const at = rest.indexOf(delimiter, from);
      if (at < 0) break;
      const end = at + delimiter.length;
      yield this.#frame(rest.subarray(from, end));
      from = end;
    }
    this.#hold(rest.subarray(from));
  }

  /** What is left of a frame that will not be completed; then it begins anew. Good until the next chunk. */
  rest(): Buffer | undefined {
    if (this.#bytes === 0) return undefined;
    const rest = this.#held.subarray(0, this.#bytes);
    this.#bytes = 0;
    return rest;
  }

  #frame(bytes: Buffer): Buffer {
    if (bytes.length > this.#options.maxBytes) throw this.#tooLong(bytes.length);
    return this.#options.keep ? bytes : bytes.subarray(0, bytes.length - this.#delimiter.length);
  }

  #hold(chunk: Uint8Array): void {
    const bytes = this.#bytes + chunk.length;
    if (bytes > this.#options.maxBytes) throw this.#tooLong(bytes);
    if (bytes > this.#held.length) {
      const larger = Buffer.allocUnsafe(
        Math.max(bytes, Math.min(1_024, bytes * 2), this.#held.length * 2),
      );
      this.#held.copy(larger, 0, 0, this.#bytes);
      this.#held = larger;
    }
    this.#held.set(chunk, this.#bytes);
    this.#bytes = bytes;
  }

  #tooLong(bytes: number): MillraceError {
    const { maxBytes, what, option } = this.#options;
    return new MillraceError(
      'MR_RECORD_TOO_LARGE',
      `${what} has no delimiter within ${maxBytes} bytes; look at what is sent and at delimiter, or raise ${option}`,
      { domain: 'external', details: { bytes, [option]: maxBytes } },
    );
  }
}

function delimiterOf(given: string | Uint8Array): Buffer {
  const bytes =
    typeof given === 'string'
      ? Buffer.from(given)
      : ArrayBuffer.isView(given)
        ? Buffer.from(given)
        : undefined;
  if (bytes === undefined || bytes.length < 1 || bytes.length > MAX_DELIMITER)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `delimiter is ${bytes === undefined ? kindOf(given) : `${bytes.length} bytes long`}; give a text or bytes, 1 to ${MAX_DELIMITER} bytes long`,
      { details: { option: 'delimiter' } },
    );
  return bytes;
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Makes the value of a frame: a text, or without an encoding a copy, which does not keep the chunk in memory. */
export function frameReader(
  encoding: 'utf8' | 'latin1' | undefined,
): (frame: Buffer) => Buffer | string {
  return encoding === undefined
    ? (frame) => Buffer.from(frame)
    : (frame) => frame.toString(encoding);
}
