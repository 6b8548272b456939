/**
 * @module
 */

/** Longest text of a line, in UTF-16 units. */
const MAX_LENGTH = 60;

/**
 * Names as they are shown: on one line, of valid Unicode, without control characters and those that turn the direction of writing, at
 * most 60 UTF-16 units long. Names of functions can be anything.
 */
export function oneLine(text: string): string {
  const line = text
    .toWellFormed()
    .replaceAll(/[\s\p{Cc}\u2028\u2029\u{FFFE}\u{FFFF}]+/gu, ' ')
    .replaceAll(/[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, '')
    .trim();
  return line.length <= MAX_LENGTH ? line : `${beginningOf(line)}…`;
}

/** What is seen as one character is not cut in two. */
function beginningOf(line: string): string {
  let end = 0;
  for (const { index, segment } of new Intl.Segmenter().segment(line.slice(0, MAX_LENGTH + 1))) {
    if (index + segment.length >= MAX_LENGTH) break;
    end = index + segment.length;
  }
  return line.slice(0, end);
}
