/**
 * @module
 */
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import type { BigIntStats } from 'node:fs';

import { sleep, systemClock } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import type { MillraceError } from '../../core/errors.ts';
import { checkOptions } from '../../core/given.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside, systemCode } from '../failure.ts';
import { byteLimit, connectorOptions, oneOf, textOf } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { sourceOf } from '../source.ts';
import { Splitter } from '../splitter.ts';

/** What {@link textFile} takes. */
export interface TextFileOptions extends ConnectorOptions {
  /** How long it waits at the end of the file before it looks for more, at least 1 ms. Default 100 ms. */
  readonly pollInterval?: Duration | undefined;
  /** What ends a line, 1 to 1,024 bytes. Default a line feed. */
  readonly delimiter?: string | undefined;
  /** Whether values keep their delimiter. Default true. */
  readonly keepDelimiter?: boolean | undefined;
  /** Begins behind what is in the file. Default false. */
  readonly fromEnd?: boolean | undefined;
  /** Default `'utf8'`. */
  readonly encoding?: 'utf8' | 'latin1' | undefined;
  /** Waits for more at the end of the file. When false, the stream is closed there. Default true. */
  readonly follow?: boolean | undefined;
  /** The longest line, delimiter included, 1 byte to 1 GiB. Default 1 MiB. */
  readonly maxLineBytes?: number | undefined;
}

const CHUNK_BYTES = 65_536;

/**
 * The lines of a file, and those that are written to it from then on.
 *
 * A line that is not complete is held until it is. When the file has come to its end, which is when it was replaced (rotated), cut off
 * (truncated), or with `follow: false`, an incomplete line is sent as it is. A file that was replaced is read to its end before the new one is
 * begun; while there is none, it waits. That a file was truncated is seen if it is shorter than what was read of it.
 *
 * - *Order*: of the file.
 * - *Back-pressure*: the next chunk, 64 KiB, is read when the lines of the last one have been dealt with.
 * - *State*: a chunk, and an incomplete line of up to `maxLineBytes`.
 * - *Delivery*: each line once. It begins anew with each stream: the position is not kept. What is written to a replaced file after the
 *   new one was seen is not read.
 *
 * It fails with `MR_IO` or `MR_PERMISSION` when the file is not there at the start or cannot be read, with `MR_RECORD_TOO_LARGE` on a line that is
 * too long.
 *
 * ```ts
 * import { writeFileSync } from 'node:fs';
 * import { textFile } from 'millrace/files';
 *
 * writeFileSync('app.log', 'one\ntwo\nthree');
 * await textFile('app.log', { follow: false }).toArray(); // => ['one\n', 'two\n', 'three']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function textFile(path: string, options: TextFileOptions = {}): Stream<string> {
  checkOptions<TextFileOptions>('textFile', options, {
    ...connectorOptions,
    pollInterval: true,
    delimiter: true,
    keepDelimiter: true,
    fromEnd: true,
    encoding: true,
    follow: true,
    maxLineBytes: true,
  });
  const { clock = systemClock(), encoding = 'utf8', follow = true, fromEnd = false } = options;
  textOf('textFile', path);
  oneOf('encoding', encoding, ['utf8', 'latin1']);
  const pollMs = durationMs(options.pollInterval ?? '100ms', 'pollInterval', 1);
  const { delimiter = '\n', keepDelimiter = true } = options;
  const maxBytes = byteLimit('maxLineBytes', options.maxLineBytes);
  const splitterOptions = {
    delimiter: Buffer.from(delimiter, encoding),
    maxBytes,
    keep: keepDelimiter,
    what: `a line of ${path}`,
    option: 'maxLineBytes',
  };
  // A wrong delimiter is told where it is given.
  void new Splitter(splitterOptions);

  const textOfLine = (line: Buffer): string => line.toString(encoding);
  return sourceOf<string>('textFile', options, async (feed) => {
    const splitter = new Splitter(splitterOptions);
    const emitAll = async (file: OpenFile): Promise<void> => {
      for (;;) {
        const chunk = await file.read();
        if (chunk.length === 0 || feed.signal.aborted) return;
        await feed.emitAll(splitter.push(chunk).map(textOfLine));
      }
    };
    let file = await OpenFile.open(path);
    let next: OpenFile | undefined;
    try {
      if (fromEnd) file.skip();
      feed.opened();
      for (;;) {
        // It looks before it reads: a file that was replaced by then has come to its end.
        const now = follow ? await lookAgain(path, file) : 'over';
        if (now instanceof OpenFile) next = now;
        if (now !== 'truncated') await emitAll(file);
        if (feed.signal.aborted) return;
        if (now === 'same') {
          await sleep(clock, pollMs, feed.signal);
          continue;
        }
        const rest = splitter.rest();
        if (rest !== undefined) await feed.emitAll([textOfLine(rest)]);
        if (now === 'over') return;
        if (now === 'truncated') file.rewind();
        else {
          await file.close();
          file = now;
          next = undefined;
        }
      }
    } finally {
      await file.close();
      await next?.close();
    }
  });
}

/** What has become of the file at `path`: as it was, cut off, or another one, which is open then. None is as it was: one may come. */
async function lookAgain(path: string, file: OpenFile): Promise<'same' | 'truncated' | OpenFile> {
  let found: OpenFile;
  try {
    found = await OpenFile.open(path);
  } catch (error) {
    if (systemCode(error instanceof Error ? error.cause : undefined) === 'ENOENT') return 'same';
    throw error;
  }
  if (found.id !== file.id) return found;
  const { bytes } = found;
  await found.close();
  return bytes < file.position ? 'truncated' : 'same';
}

/** A file that is read from front to back. */
class OpenFile {
  /** Tells files apart, as long as one is open. */
  readonly id: string;
  /** How long it was when it was opened. */
  readonly bytes: number;
  position = 0;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #chunk: Buffer = Buffer.allocUnsafe(CHUNK_BYTES);

  private constructor(path: string, handle: FileHandle, stats: BigIntStats) {
    this.#path = path;
    this.#handle = handle;
    this.id = `${stats.dev}:${stats.ino}`;
    this.bytes = Number(stats.size);
  }

  static async open(path: string): Promise<OpenFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path);
      return new OpenFile(path, handle, await handle.stat({ bigint: true }));
    } catch (error) {
      await handle?.close();
      throw unreadable(path, error);
    }
  }

  /** The next bytes, none at the end. They are good until the next call. */
  async read(): Promise<Buffer> {
    try {
      const { bytesRead } = await this.#handle.read(this.#chunk, 0, CHUNK_BYTES, this.position);
      this.position += bytesRead;
      return this.#chunk.subarray(0, bytesRead);
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }

  /** Goes behind what was there when it was opened. */
  skip(): void {
    this.position = this.bytes;
  }

  /** Goes to the front. */
  rewind(): void {
    this.position = 0;
  }

  /** Idempotent. */
  close(): Promise<void> {
    return this.#handle.close();
  }
}

function unreadable(path: string, error: unknown): MillraceError {
  return outside(`the file ${path} cannot be read; is it there, and may this user read it`, error, {
    path,
  });
}
