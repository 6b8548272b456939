/**
 * Names of apps, topics, tables, agents and producers. They are durable: they end up in keys and must mean the same
 * on every system and broker.
 *
 * @module
 */
import { MillraceError } from './errors.ts';
import { kindOf } from './given.ts';

const pattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?$/;
const reserved = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$/i;

/**
 * Returns `name` if it is a valid name: 1 to 128 of `A–Z a–z 0–9 . _ -`, starting with a letter or digit, without `..`, not
 * ending with `.`, and not a device name of Windows (`con`, `nul.txt`, `COM1`).
 *
 * @param what What it names, for the error: `'topic'`.
 * @throws {@link MillraceError} `MR_NAME_INVALID`.
 */
export function validName(what: string, name: string): string {
  if (
    typeof name !== 'string' ||
    !pattern.test(name) ||
    name.includes('..') ||
    reserved.test(name)
  ) {
    const shown = typeof name === 'string' ? JSON.stringify(name.slice(0, 140)) : kindOf(name);
    throw new MillraceError(
      'MR_NAME_INVALID',
      `${shown} is not a valid ${what} name; use 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or digit, not ending with '.', without '..', and no device name of Windows`,
      { details: { what } },
    );
  }
  return name;
}
