/**
 * Words of the command line as values. What cannot be understood is a usage error, and says what would be.
 *
 * @module
 */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

/** Where a reader begins. */
export type From =
  | { readonly at: 'start' }
  | { readonly at: 'end' }
  | { readonly at: 'offset'; readonly offset: number }
  /** By partition. */
  | { readonly at: 'offsets'; readonly ends: ReadonlyMap<number, number> }
  | { readonly at: 'time'; readonly time: number };

/** A parser for whole numbers of `least` to `most`. */
export function wholeNumber(
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(
        most === Number.MAX_SAFE_INTEGER
          ? `Give a whole number from ${least}.`
          : `Give a whole number from ${least} to ${most}.`,
      );
    return value;
  };
}

/** How many: a whole number from 1, or `all`. */
export function limit(text: string): number {
  return text === 'all' ? Infinity : wholeNumber(1)(text);
}

/** Milliseconds since 1970, or a date and time in ISO 8601. */
export function timestamp(text: string): number {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : isoTime(text);
  if (!Number.isSafeInteger(value))
    throw new InvalidArgumentError(
      'Give milliseconds since 1970, or a time such as 2026-11-21T10:00:00Z.',
    );
  return value;
}

/** `Date.parse` would take `-1` for a year. */
function isoTime(text: string): number {
  return /^\d{4}-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
}

/** `start`, `end`, an offset, or a date and time in ISO 8601. */
export function from(text: string): From {
  if (text === 'start' || text === 'end') return { at: text };
  if (/^\d+$/.test(text)) return { at: 'offset', offset: wholeNumber(0)(text) };
  const time = isoTime(text);
  if (Number.isNaN(time))
    throw new InvalidArgumentError(
      'Give start, end, an offset, or a time such as 2026-11-21T10:00:00Z.',
    );
  return { at: 'time', time };
}

/** `name=value`, added to those before it. */
export function header(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const equals = text.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Give name=value.');
  return Object.fromEntries([
    ...Object.entries(before),
    [text.slice(0, equals), text.slice(equals + 1)],
  ]);
}

/** JSON, whatever it holds. */
export function jsonValue(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new InvalidArgumentError('It is not JSON; a text needs quotes: \'"text"\'.');
  }
}

/** `--json`, on every command that prints data. */
export function jsonOption(what = 'one JSON document'): Option {
  return new Option('--json', `print ${what}`);
}

/** `--broker`, on every command that works without a module. */
export function brokerOption(): Option {
  return new Option('--broker <url>', 'where the data is, such as file:./data')
    .env('MILLRACE_BROKER')
    .default('file:./data');
}

/** `--module`, on commands that can use an app's declarations. */
export function moduleOption(what: string): Option {
  return new Option('--module <file>', `module that exports the app: ${what}`);
}

/** `--broker`, `--module` and `--json` on a command that works with or without an app. */
export function placeOptions(command: Command, module: string): Command {
  return command.addOption(brokerOption()).addOption(moduleOption(module)).addOption(jsonOption());
}

/** `--partition`. */
export function partitionOption(what: string): Option {
  return new Option('--partition <number>', what).argParser(wholeNumber(0, 1_023));
}
