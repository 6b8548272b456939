/**
 * Streams as those of the platform, and those of the platform as sinks. The other way, `Stream.from` reads both.
 *
 * @module
 */
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ReadableStream } from 'node:stream/web';

import { MillraceError } from '../core/errors.ts';
import { checkOptions, kindOf } from '../core/given.ts';
import type { Stream } from '../stream/stream.ts';
import { sinkFunction } from './sink-function.ts';
import type { SinkFunction } from './sink-function.ts';

/** What {@link toNodeStream} and {@link toWebStream} take. */
export interface ToStreamOptions {
  /** How many values may wait for the reader before `emit` waits, 1 to 16,777,216. Default 1,000. */
  readonly capacity?: number | undefined;
}

/**
 * The values of a stream from now on as a `Readable` of Node, in object mode. It ends when the stream does, and is destroyed with the error
 * that the stream fails with; destroying it takes it off the stream.
 *
 * - *Order*: kept.
 * - *Back-pressure*: while `capacity` values have not been read, `emit` waits.
 * - *State*: those values.
 * - *Delivery*: each value once; what was not read when it is destroyed is dropped. `null` and `undefined` end a `Readable`, so they destroy it
 *   with an error of Node: filter them out.
 *
 * ```ts
 * import { Stream, toNodeStream } from 'millrace';
 *
 * const lines = Stream.from([1, 2]).map((n) => `${n}\n`);
 * await toNodeStream(lines).toArray(); // => ['1\n', '2\n']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`
 */
export function toNodeStream(
  stream: Stream<unknown, unknown>,
  options: ToStreamOptions = {},
): Readable {
  return Readable.from(fromNow('toNodeStream', stream, options));
}

/**
 * The values of a stream from now on as a `ReadableStream`, such as a `Response` takes it. It ends when the stream does, and errors with what the
 * stream fails with; cancelling it takes it off the stream.
 *
 * - *Order*: kept.
 * - *Back-pressure*: while `capacity` values have not been read, `emit` waits.
 * - *State*: those values.
 * - *Delivery*: each value once; what was not read when it is cancelled is dropped.
 *
 * ```ts
 * import { Stream, toWebStream } from 'millrace';
 *
 * const bytes = Stream.from(['a', 'b']).map((text) => new TextEncoder().encode(text));
 * await new Response(toWebStream(bytes)).text(); // => 'ab'
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`
 */
export function toWebStream<T>(
  stream: Stream<T, unknown>,
  options: ToStreamOptions = {},
): ReadableStream<T> {
  return ReadableStream.from(fromNow('toWebStream', stream, options));
}

/** An iterator is connected by its first `next`, which here comes at once: whoever makes a stream of it wants what is emitted in this turn too. */
function fromNow<T>(
  what: string,
  stream: Stream<T, unknown>,
  options: ToStreamOptions,
): AsyncIterableIterator<T> {
  checkOptions<ToStreamOptions>(what, options, { capacity: true });
  const values = stream.iterate({ capacity: options.capacity });
  let first: Promise<IteratorResult<T>> | undefined = values.next();
  // Told when it is asked for.
  first.catch(() => undefined);
  const iterator: AsyncIterableIterator<T> = {
    next: () => {
      const next = first ?? values.next();
      first = undefined;
      return next;
    },
    return: async () => {
      await values.return?.();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

/**
 * Writes each value to a `Writable` of Node or a `WritableStream`. For `stream.sink`. `close()` ends it, and waits until it has finished.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with when it is handed over and there is room for another.
 * - *State*: none; the other side has a buffer.
 * - *Delivery*: each value once to the other side's buffer. What fails behind that comes out of the next value, or of `close()`.
 *
 * ```ts
 * import { PassThrough } from 'node:stream';
 * import { Stream, toWritable } from 'millrace';
 *
 * const file = new PassThrough();
 * const source = new Stream<string>();
 * const sink = toWritable<string>(file);
 * source.sink(sink);
 * await source.emit('a');
 * await source.emit('b');
 * await sink.close();
 * (await file.toArray()).join(''); // => 'ab'
 * ```
 *
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID`
 */
export function toWritable<T = unknown>(writable: Writable | WritableStream<T>): SinkFunction<T> {
  if (writable instanceof WritableStream) return toWebWritable(writable);
  if (typeof (writable as Writable | null | undefined)?.write === 'function')
    return toNodeWritable(writable);
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `toWritable was given ${kindOf(writable)}; give a Writable of Node or a WritableStream`,
  );
}

function toWebWritable<T>(writable: WritableStream<T>): SinkFunction<T> {
  const writer = writable.getWriter();
  // What fails is told by the next value.
  writer.closed.catch(() => undefined);
  return sinkFunction<T>({
    what: 'toWritable',
    send: async (value) => {
      await writer.ready;
      writer.write(value).catch(() => undefined);
      await writer.ready;
    },
    end: () => writer.close(),
  });
}

function toNodeWritable<T>(writable: Writable): SinkFunction<T> {
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void) | undefined;
  const gone = (error?: unknown): void => {
    failure ??= {
      error:
        error ??
        writable.errored ??
        new MillraceError('MR_CLOSED', 'the Writable of toWritable was destroyed', {
          domain: 'external',
        }),
    };
    wake?.();
  };
  // 'error' comes at most once, 'close' also without it.
  writable.on('error', gone);
  writable.on('close', () => wake?.());
  writable.on('drain', () => wake?.());
  const check = (): void => {
    if (writable.destroyed && !writable.writableFinished) gone();
    if (failure !== undefined) throw failure.error;
  };
  return sinkFunction<T>({
    what: 'toWritable',
    send: async (value) => {
      check();
      if (writable.write(value)) return;
      // Nothing waits for a drain any more when it is destroyed.
      while (writable.writableNeedDrain) await new Promise<void>((resolve) => (wake = resolve));
      check();
    },
    end: async () => {
      check();
      writable.end();
      await finished(writable, { readable: false });
    },
  });
}
