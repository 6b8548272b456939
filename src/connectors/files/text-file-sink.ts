/**
 * @module
 */
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

import { checkOptions, checkWhole } from '../../core/given.ts';
import { plain } from '../encode.ts';
import type { Encode } from '../encode.ts';
import { outside, systemCode } from '../failure.ts';
import { byteLimit, oneOf, textOf } from '../options.ts';
import { sinkFunction } from '../sink-function.ts';
import type { SinkFunction } from '../sink-function.ts';

/** When a file is put away and a new one begun. */
export interface RotateOptions {
  /** The longest file, 1 byte to 1 GiB. A value that is longer has a file of its own. */
  readonly maxBytes: number;
  /** How many old files are kept: `path.1`, the newest, to `path.<keep>`. 0 to 1,000. */
  readonly keep: number;
}

/** What {@link textFileSink} takes. */
export interface TextFileSinkOptions<T> {
  /** What is written behind each value. Default a line feed; `''` for nothing. */
  readonly end?: string | undefined;
  /** Writes behind what is in the file. When false, it is emptied first. Default true. */
  readonly append?: boolean | undefined;
  /** Default: one file, however long. */
  readonly rotate?: RotateOptions | undefined;
  /**
   * `'each'`: a value is dealt with when the system has it, so others can read it and it outlives this process. `'close'`: values are written
   * 64 KiB at a time, and when the sink is closed. Neither forces the disk. Default `'each'`.
   */
  readonly flush?: 'each' | 'close' | undefined;
  /** Makes of a value what is written. Default: texts and bytes as they are, everything else as JSON. */
  readonly encode?: Encode<T> | undefined;
}

const CHUNK_BYTES = 65_536;

/**
 * Writes each value to a file. For `stream.sink`. The file is opened, or made, with the first value.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with when it is written; with `flush: 'close'` when it is in memory, or the 64 KiB there are written.
 * - *State*: none; with `flush: 'close'` up to 64 KiB beside the value.
 * - *Delivery*: each value once. When a write fails, a part of the value may be in the file; with `flush: 'close'` what is in memory is tried
 *   again with the next value, and a process that ends without `close()` loses it.
 *
 * What it throws: `MR_DISK_FULL`, `MR_PERMISSION`, `MR_IO` (all retryable), `MR_ENCODE_FAILED`, `MR_CLOSED`.
 *
 * ```ts
 * import { readFileSync } from 'node:fs';
 * import { Stream } from 'millrace';
 * import { textFileSink } from 'millrace/files';
 *
 * const source = new Stream<{ n: number }>();
 * await using file = textFileSink('numbers.jsonl');
 * source.sink(file);
 * await source.emit({ n: 1 });
 * await source.emit({ n: 2 });
 * readFileSync('numbers.jsonl', 'utf8'); // => '{"n":1}\n{"n":2}\n'
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function textFileSink<T = unknown>(
  path: string,
  options: TextFileSinkOptions<T> = {},
): SinkFunction<T> {
  checkOptions<TextFileSinkOptions<T>>('textFileSink', options, {
    end: true,
    append: true,
    rotate: true,
    flush: true,
    encode: true,
  });
  textOf('textFileSink', path);
  const { end = '\n', append = true, flush = 'each', encode = plain } = options;
  oneOf('flush', flush, ['each', 'close']);
  const file = new WrittenFile(path, append, checkRotate(options.rotate));
  const behind = Buffer.from(end);
  let held: Buffer[] = [];
  let heldBytes = 0;
  const write = async (): Promise<void> => {
    // Values stay apart until here: a file ends between two of them.
    while (held.length > 0) {
      const count = file.fitting(held);
      await file.write(Buffer.concat(held.slice(0, count)));
      for (const { length } of held.splice(0, count)) heldBytes -= length;
    }
  };
  return sinkFunction<T>({
    what: 'textFileSink',
    send: async (value) => {
      const bytes = Buffer.concat([Buffer.from(encode(value)), behind]);
      if (flush === 'each') {
        await file.write(bytes);
        return;
      }
      if (heldBytes >= CHUNK_BYTES) await write();
      held.push(bytes);
      heldBytes += bytes.length;
    },
    end: async () => {
      try {
        await write();
      } finally {
        held = [];
        await file.close();
      }
    },
  });
}

function checkRotate(rotate: RotateOptions | undefined): RotateOptions | undefined {
  if (rotate === undefined) return undefined;
  checkOptions<RotateOptions>('rotate', rotate, { maxBytes: true, keep: true });
  byteLimit('rotate.maxBytes', rotate.maxBytes);
  checkWhole('rotate.keep', rotate.keep, 0, 1_000);
  return rotate;
}

/** A file that is written to its end, and put away when it is long. */
class WrittenFile {
  readonly #path: string;
  readonly #rotate: RotateOptions | undefined;
  #flags: 'a' | 'w';
  #handle: FileHandle | undefined;
  #bytes = 0;

  constructor(path: string, append: boolean, rotate: RotateOptions | undefined) {
    this.#path = path;
    this.#rotate = rotate;
    this.#flags = append ? 'a' : 'w';
  }

  /** How many of `values` the present file, or else a new one, has room for; at least one. */
  fitting(values: readonly Buffer[]): number {
    if (this.#rotate === undefined) return values.length;
    let count = 0;
    let bytes = this.#bytes;
    for (const { length } of values) {
      bytes += length;
      if (count > 0 && bytes > this.#rotate.maxBytes) break;
      count++;
    }
    return count;
  }

  /** @throws {@link MillraceError} `MR_DISK_FULL`, `MR_PERMISSION`, `MR_IO` */
  async write(bytes: Buffer): Promise<void> {
    try {
      let handle = await this.#open();
      const { maxBytes = Infinity } = this.#rotate ?? {};
      if (this.#bytes > 0 && this.#bytes + bytes.length > maxBytes) {
        await this.#putAway();
        handle = await this.#open();
      }
      await handle.appendFile(bytes);
      this.#bytes += bytes.length;
    } catch (error) {
      // How much of it is there is not known: the next write looks.
      await this.close().catch(() => undefined);
      throw outside(`the file ${this.#path} cannot be written`, error, { path: this.#path });
    }
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async #open(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle;
    const handle = await open(this.#path, this.#flags);
    this.#handle = handle;
    // Emptied once.
    this.#flags = 'a';
    this.#bytes = (await handle.stat()).size;
    return handle;
  }

  async #putAway(): Promise<void> {
    await this.close();
    const keep = this.#rotate?.keep ?? 0;
    if (keep === 0) await rm(this.#path, { force: true });
    for (let i = keep; i > 0; i--) {
      const from = i === 1 ? this.#path : `${this.#path}.${i - 1}`;
      try {
        await rename(from, `${this.#path}.${i}`);
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw error;
      }
    }
  }
}
