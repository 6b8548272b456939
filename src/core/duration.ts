/**
 * Lengths of time as options take them.
 *
 * @module
 */
import { MillraceError } from './errors.ts';

/** Milliseconds, or `'500ms' '10s' '5m' '1h' '7d'`. Option names carry no unit when their type is Duration. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * A duration in milliseconds; those of texts are rounded to microseconds. `name` is the option it came from, for the error.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for anything that is not a finite duration of at least `minMs` (default 0).
 */
export function durationMs(value: Duration, name: string, minMs = 0): number {
  const ms = typeof value === 'string' ? parse(value) : value;
  // Plain JavaScript hands in anything.
  if (typeof ms !== 'number' || !Number.isFinite(ms) || ms < minMs)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${show(value)}, which is not a duration${minMs > 0 ? ` of at least ${minMs} ms` : ''}; give milliseconds or a text such as '500ms', '10s', '5m', '1h', '7d'`,
      { details: { option: name, value } },
    );
  return ms;
}

function parse(text: string): number {
  const [, amount, unit] = /^(\d{1,15}(?:\.\d{1,9})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = unitMs[unit ?? ''];
  return factor === undefined ? Number.NaN : Math.round(Number(amount) * factor * 1_000) / 1_000;
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  return typeof value === 'number' || typeof value === 'bigint' || value === undefined
    ? String(value)
    : `a value of type ${typeof value}`;
}
