/**
 * Lengths of time as options take them.
 *
 * @module
 */
import { MillraceError } from './errors.ts';

/** Milliseconds, or `'500ms' '10s' '5m' '1h' '7d'`. Option names carry no unit when their type is Duration. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * A duration in milliseconds. `name` is the option it came from, for the error.
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID` for anything that is not a finite duration of at least `minMs` (default 0).
 */
export function durationMs(value: Duration, name: string, minMs = 0): number {
  const parts = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null;
  const ms = typeof value === 'number' ? value : parts === null ? Number.NaN : Number(parts[1]) * (unitMs[parts[2] ?? ''] ?? Number.NaN);
  if (!Number.isFinite(ms) || ms < minMs)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${JSON.stringify(value)}, which is not a duration${minMs > 0 ? ` of at least ${minMs} ms` : ''}; give milliseconds or a text such as '500ms', '10s', '5m', '1h', '7d'`,
      { details: { option: name, value } },
    );
  return ms;
}
