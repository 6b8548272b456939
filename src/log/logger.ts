/**
 * Log lines: one JSON object each for machines, or a readable line for people.
 *
 * @module
 */
import { pino } from 'pino';
import type { DestinationStream } from 'pino';

import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import type { LogFields, Logger, LogLevel } from '../core/log.ts';
import { optionalPackage } from '../core/optional-package.ts';
import { scrub, scrubText } from './scrub.ts';

/** How lines look: `'pretty'` for people, `'json'` for machines. */
export type LogFormat = 'pretty' | 'json';

/** Where lines go: anything with `write`, standard error for example. */
export interface LogStream {
  write(line: string): unknown;
  /** A terminal gets readable lines unless told otherwise. */
  readonly isTTY?: boolean | undefined;
}

/** How a logger is made. */
export interface LoggerOptions {
  /** The least level that is written. Default `'info'`. */
  readonly level?: LogLevel | undefined;
  /** Default: `'pretty'` when `stream` is a terminal, else `'json'`. */
  readonly format?: LogFormat | undefined;
  /** Default: standard error. */
  readonly stream?: LogStream | undefined;
  /** Colours in readable lines. Default: when `stream` is a terminal and `NO_COLOR` is not set. */
  readonly color?: boolean | undefined;
  /** Members of every line, such as the process. Default none. */
  readonly base?: LogFields | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
}

const levels: readonly string[] = ['debug', 'info', 'warn', 'error'];
const formats: readonly string[] = ['pretty', 'json'];

/**
 * Makes a logger. A JSON line has `level` (its name), `time` (UTC, ISO 8601), the members of `base`, those of the call, and `msg`; what was
 * thrown belongs under `error` and is written with `code`, `message`, `stack` and `cause`. URLs lose user, password, query and fragment,
 * and members with telling names (`password`, `token`, `secret`, …) are hidden, in both formats.
 *
 * Lines are handed to the stream at once. One that refuses them (a broken pipe) loses them: a worker does not fail for its log.
 *
 * @throws `MR_OPTION_INVALID`; `MR_DEPENDENCY_MISSING` when `pino-pretty` is needed and cannot be loaded.
 */
export async function createLogger(options: LoggerOptions = {}): Promise<Logger> {
  const { level = 'info', stream = process.stderr, base = {}, clock = systemClock() } = options;
  const terminal = stream.isTTY === true;
  const format = options.format ?? (terminal ? 'pretty' : 'json');
  oneOf('level', level, levels);
  oneOf('format', format, formats);
  const color = options.color ?? (terminal && (process.env['NO_COLOR'] ?? '') === '');
  const destination = forgiving(stream);
  const lines = pino(
    {
      level,
      base: scrub(base) as Record<string, unknown>,
      timestamp: () => `,"time":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      // The serializers of pino would show what scrub hides.
      serializers: {},
    },
    format === 'json' ? destination : await readable(destination, color),
  );
  const write =
    (name: LogLevel) =>
    (fields: LogFields, message: string): void => {
      if (lines.isLevelEnabled(name))
        lines[name](scrub(fields) as Record<string, unknown>, scrubText(message));
    };
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
}

/** Loaded only where people read: a service in production never needs it. */
async function readable(stream: DestinationStream, color: boolean): Promise<DestinationStream> {
  const { prettyFactory } = await optionalPackage(
    'pino-pretty',
    'readable log lines need',
    async () => await import('pino-pretty'),
    "use the format 'json'",
  );
  const pretty = prettyFactory({
    colorize: color,
    translateTime: 'SYS:HH:MM:ss.l',
    errorLikeObjectKeys: ['error'],
    singleLine: true,
  });
  return { write: (line) => stream.write(pretty(JSON.parse(line))) };
}

function forgiving(stream: LogStream): DestinationStream {
  return {
    write(line) {
      try {
        stream.write(line);
      } catch {
        // Whoever read the log is gone; the work goes on.
      }
    },
  };
}

function oneOf(name: string, value: string, known: readonly string[]): void {
  if (!known.includes(value))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} of the logger is ${JSON.stringify(value)}; give ${known.map((word) => `'${word}'`).join(', ')}`,
      { details: { option: name } },
    );
}
