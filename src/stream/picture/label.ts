/**
 * @module
 */
import { oneLine } from './text.ts';

/**
 * What tells a node from others of its kind, for pictures and errors: names of functions, topics and tables, sizes, durations. Nothing when
 * nothing does, as with functions without a name.
 */
export function labelOf(...parts: readonly unknown[]): string | undefined {
  const label = oneLine(
    parts
      .map(wordFor)
      .filter((word) => word !== '')
      .join(' '),
  );
  return label === '' ? undefined : label;
}

function wordFor(part: unknown): string {
  if (typeof part === 'string' || typeof part === 'number') return String(part);
  if (typeof part === 'function') return nameIn(part).replace(/^(?:bound )+/, '');
  return typeof part === 'object' && part !== null ? nameIn(part) : '';
}

function nameIn(thing: object): string {
  return 'name' in thing && typeof thing.name === 'string' ? thing.name : '';
}
