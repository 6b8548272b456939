/**
 * Texts as a terminal shows them: what data may print, how wide it is, and how numbers, sizes and times are written.
 *
 * @module
 */

/** Control characters, line ends, and marks that turn the direction of writing: data could repaint the screen with them. */
const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const narrow = /^[\x20-\x7e]*$/;
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}\p{Emoji_Presentation}]/u;
const empty = /^[\p{M}\p{Cf}]+$/u;

const KIB = 1024;
const MAX_TIME = 8.64e15;

/** `text` with everything escaped that would do more than show a character. */
export function printable(text: string): string {
  return text.replaceAll(unprintable, (character) => {
    const code = character.codePointAt(0) as number;
    return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  });
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, '0');
}

/** Columns that `text` takes on a terminal. One that takes more than `most` is not looked at to its end: the answer is above `most` then. */
export function widthOf(text: string, most: number = Infinity): number {
  if (narrow.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += widthOfGrapheme(segment);
    if (width > most) break;
  }
  return width;
}

function widthOfGrapheme(grapheme: string): number {
  if (empty.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}

/** The beginning of `text` that fits into `columns`, with `…` where something is missing. */
export function cut(text: string, columns: number): string {
  if (widthOf(text, columns) <= columns) return text;
  if (columns < 1) return '';
  let kept = '';
  let width = 0;
  for (const { segment } of graphemes.segment(text)) {
    width += widthOfGrapheme(segment);
    if (width > columns - 1) break;
    kept += segment;
  }
  return `${kept}…`;
}

/** `1234567` as `1,234,567`. */
export function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 record`, `2 records`. */
export function many(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? '' : 's'}`;
}

/** A size in bytes with three digits: `12.3 MiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let unit = 0;
  while (size >= KIB && unit < units.length - 1) {
    size /= KIB;
    unit++;
  }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${units[unit] ?? ''}`;
}

/** A time in milliseconds since 1970 as UTC, in ISO 8601. Times beyond the calendar stay numbers. */
export function time(milliseconds: number): string {
  return Number.isInteger(milliseconds) && Math.abs(milliseconds) <= MAX_TIME
    ? new Date(milliseconds).toISOString()
    : String(milliseconds);
}

/** A length of time in its largest whole units: `7d`, `1h 30m`, `250ms`. */
export function duration(milliseconds: number): string {
  const parts: string[] = [];
  let rest = Math.round(milliseconds);
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1_000],
    ['ms', 1],
  ] as const) {
    const amount = Math.floor(rest / size);
    if (amount > 0 && parts.length < 2) parts.push(`${amount}${unit}`);
    rest -= amount * size;
  }
  return parts.length === 0 ? '0ms' : parts.join(' ');
}
