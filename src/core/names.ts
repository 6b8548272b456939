/**
 * Names of apps, topics, tables, agents and producers. They are durable: they end up in keys and must mean the same
 * on every system and broker.
 *
 * @module
 */
import { MillraceError } from './errors.ts';

const pattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const reserved = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?$/i;

/**
 * Returns `name` if it is a valid name: 1 to 128 of `A–Z a–z 0–9 . _ -`, starting with a letter or digit, without `..`,
 * and not a device name of Windows.
 *
 * @throws {@link MillraceError} `MR_NAME_INVALID`.
 */
export function validName(what: string, name: string): string {
  if (typeof name !== 'string' || !pattern.test(name) || name.includes('..') || reserved.test(name))
    throw new MillraceError(
      'MR_NAME_INVALID',
      `${JSON.stringify(String(name).slice(0, 140))} is not a valid ${what} name; use 1 to 128 letters, digits, '.', '_' or '-', starting with a letter or digit, without '..'`,
      { details: { what } },
    );
  return name;
}
