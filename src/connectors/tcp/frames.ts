/**
 * Sockets as frames.
 *
 * @module
 */
import type { Socket } from 'node:net';

import { MillraceError } from '../../core/errors.ts';
import { byteLimit, oneOf } from '../options.ts';
import type { Feed } from '../source.ts';
import { frameReader, Splitter } from '../splitter.ts';

/** How bytes of a connection become values. */
export interface FrameOptions {
  /** What ends a frame, 1 to 1,024 bytes. Default a line feed. */
  readonly delimiter?: string | Uint8Array | undefined;
  /** Whether values keep their delimiter. Default true. */
  readonly keepDelimiter?: boolean | undefined;
  /** The longest frame, delimiter included, 1 byte to 1 GiB. A longer one ends its connection. Default 1 MiB. */
  readonly maxFrameBytes?: number | undefined;
  /** Makes texts of the bytes. Default: values are `Buffer`s. */
  readonly encoding?: 'utf8' | 'latin1' | undefined;
}

/** With an encoding values are texts. */
export interface TextFrameOptions {
  readonly encoding: 'utf8' | 'latin1';
}

/** {@link FrameOptions}, for `checkOptions`. */
export const framingOptions: Readonly<Record<keyof FrameOptions, true>> = {
  delimiter: true,
  keepDelimiter: true,
  maxFrameBytes: true,
  encoding: true,
};

/** Cuts what one connection sends. */
export interface Framing {
  readonly splitter: Splitter;
  readonly valueOf: (frame: Buffer) => Buffer | string;
}

/** Makes a {@link Framing} for each connection. @throws {@link MillraceError} `MR_OPTION_INVALID` */
export function framing(what: string, options: FrameOptions): () => Framing {
  const { delimiter = '\n', keepDelimiter = true, encoding } = options;
  const maxBytes = byteLimit('maxFrameBytes', options.maxFrameBytes);
  if (encoding !== undefined) oneOf('encoding', encoding, ['utf8', 'latin1']);
  const valueOf = frameReader(encoding);
  const make = (): Framing => ({
    splitter: new Splitter({
      delimiter,
      maxBytes,
      keep: keepDelimiter,
      what: `a frame of ${what}`,
      option: 'maxFrameBytes',
    }),
    valueOf,
  });
  // A wrong delimiter is told where it is given.
  make();
  return make;
}

/**
 * Emits the frames of `socket` until it ends. Returns what was wrong with the connection, if anything.
 *
 * @throws when a value fails.
 */
export async function frames(
  socket: Socket,
  { splitter, valueOf }: Framing,
  { emitAll, signal }: Pick<Feed<Buffer | string>, 'emitAll' | 'signal'>,
  received: () => void = () => undefined,
): Promise<{ readonly error: unknown } | undefined> {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let wrong: { readonly error: unknown } | undefined;
  /** What is wrong with the connection is noted: it is no failure of a value. */
  function* framesOf(chunk: Buffer): Generator<Buffer | string, void> {
    try {
      for (const frame of splitter.push(chunk)) {
        received();
        yield valueOf(frame);
      }
    } catch (error) {
      wrong = { error };
    }
  }
  while (wrong === undefined && !signal.aborted) {
    let next: IteratorResult<Buffer, unknown>;
    try {
      next = await chunks.next();
    } catch (error) {
      return { error };
    }
    if (next.done === true) break;
    await emitAll(framesOf(next.value));
  }
  if (wrong !== undefined || signal.aborted) return wrong;
  if (splitter.bytes === 0) return undefined;
  return {
    error: new MillraceError(
      'MR_IO',
      `a connection was closed in the middle of a frame, whose ${splitter.bytes} bytes are lost; end the last one with the delimiter`,
      { domain: 'external', details: { bytes: splitter.bytes } },
    ),
  };
}
