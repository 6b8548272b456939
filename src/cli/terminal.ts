/**
 * What the command line knows of the world: its streams, their width and colours, the environment, signals, time and chance. Commands
 * touch nothing else of the process, so that tests can give them another one.
 *
 * @module
 */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { Writable } from 'node:stream';

import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { systemRandom } from '../core/random.ts';
import type { Random } from '../core/random.ts';
import type { Awaitable } from '../core/types.ts';

/** Streams and surroundings of one run of a command. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly random: Random;
  /** Width of standard output. `undefined`: it is no terminal, and nothing is cut. */
  readonly columns: number | undefined;
  /** Whether standard output takes colours. */
  readonly color: boolean;
  /** Whether somebody watches standard error, so that progress may be shown there. */
  readonly watched: boolean;
  /** Aborts at the first signal to end, and when nobody reads standard output any more. */
  readonly signal: AbortSignal;
  /** Status that the process ends with, unless the command throws. */
  status: number;
  /** Writes text and a line end to standard output; wait for what it returns. Rejects with {@link ReaderGone}. */
  print(text: string): Awaitable<void>;
  /** Writes text to standard error as it is. */
  complain(text: string): void;
  /** Lines of standard input. */
  lines(): AsyncIterable<string>;
}

/** Whoever read standard output has closed it, as `| head` does. No failure: the command ends. */
export class ReaderGone extends Error {
  constructor() {
    super('nobody reads standard output any more');
    this.name = 'ReaderGone';
  }
}

/** A signal to end arrived; the status of the process says which. */
export class Interrupted extends Error {
  readonly status: number;

  constructor(status: number) {
    super('interrupted');
    this.name = 'Interrupted';
    this.status = status;
  }
}

/** What {@link openTerminal} needs of the process. */
export interface TerminalStreams {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: Writable & {
    readonly isTTY?: boolean | undefined;
    readonly columns?: number | undefined;
  };
  readonly stderr: Writable & { readonly isTTY?: boolean | undefined };
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** A terminal over the streams of a process. Call `interrupt` to abort its signal. */
export function openTerminal(
  streams: TerminalStreams,
): Terminal & { interrupt(reason: Error): void } {
  const { stdin, stdout, stderr, env } = streams;
  const end = new AbortController();
  const onError = (error: NodeJS.ErrnoException): void => {
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_DESTROYED')
      end.abort(new ReaderGone());
    else end.abort(error);
  };
  stdout.on('error', onError);
  // A closed standard error takes nothing any more, which is no reason to fail.
  stderr.on('error', () => undefined);
  const terminal = stdout.isTTY === true;
  return {
    env,
    clock: systemClock(),
    random: systemRandom(),
    columns: terminal ? (stdout.columns ?? 80) : undefined,
    color: terminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb',
    watched: stderr.isTTY === true,
    signal: end.signal,
    status: 0,
    print: (text) => write(stdout, `${text}\n`, end.signal),
    complain: (text) => void stderr.write(text),
    lines: () =>
      createInterface({
        input: stdin instanceof Readable ? stdin : Readable.from(stdin),
        crlfDelay: Infinity,
        signal: end.signal,
      }),
    interrupt: (reason) => end.abort(reason),
  };
}

/** Writes, and waits while the reader is behind. */
function write(stream: Writable, text: string, signal: AbortSignal): Awaitable<void> {
  if (signal.aborted) return Promise.reject(reasonOf(signal));
  if (stream.write(text)) return undefined;
  return new Promise((resolve, reject) => {
    const drained = (): void => {
      signal.removeEventListener('abort', aborted);
      resolve();
    };
    const aborted = (): void => {
      stream.removeListener('drain', drained);
      reject(reasonOf(signal));
    };
    stream.once('drain', drained);
    signal.addEventListener('abort', aborted, { once: true });
  });
}

/** Why a terminal's signal was aborted. */
export function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Interrupted(130);
}
