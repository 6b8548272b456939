/**
 * Blanks out what is not code, so that checks by regular expression do not stumble over prose.
 *
 * Every character keeps its place and every line its number: what is blanked becomes spaces.
 *
 * @module
 */

/** What {@link mask} blanks: comments alone, or also the insides of strings, templates and regular expressions. */
export type Masked = 'comments' | 'comments and strings';

/** `text` with comments, and strings when asked, replaced by spaces. The code inside `${…}` of a template stays. */
export function mask(text: string, what: Masked): string {
  const out = text.split('');
  const blank = (from: number, to: number): void => {
    for (let i = from; i < to; i++) if (out[i] !== '\n') out[i] = ' ';
  };
  const literal = (from: number, to: number): void => {
    if (what === 'comments and strings') blank(from + 1, to - 1);
  };
  /** Brace depth at which each open template goes on. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  while (at < text.length) {
    const start = at;
    const char = text[at]!;
    if (text.startsWith('//', at) || (at === 0 && text.startsWith('#!'))) {
      at = endOf(text, '\n', at) - 1;
      blank(start, at);
    } else if (text.startsWith('/*', at)) {
      at = endOf(text, '*/', at + 2);
      blank(start, at);
    } else if (char === "'" || char === '"') {
      at = endOfQuoted(text, char, at + 1);
      literal(start, at);
    } else if (char === '`' || (char === '}' && templates.at(-1) === depth)) {
      if (char === '}') templates.pop();
      at = endOfTemplatePart(text, at + 1);
      if (text[at - 1] === '{') {
        templates.push(depth);
        literal(start, at - 1);
      } else literal(start, at);
    } else if (char === '/' && startsRegExp(text, at)) {
      at = endOfRegExp(text, at + 1);
      literal(start, at);
    } else {
      if (char === '{') depth++;
      else if (char === '}') depth--;
      at++;
    }
  }
  return out.join('');
}

/** The place behind the next `needle`, or one behind the end of the text. */
function endOf(text: string, needle: string, from: number): number {
  const found = text.indexOf(needle, from);
  return found < 0 ? text.length + 1 : found + needle.length;
}

function endOfQuoted(text: string, quote: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== quote && text[at] !== '\n')
    at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}

/** Behind the closing backtick, or behind the `{` of the next `${`. */
function endOfTemplatePart(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== '`') {
    if (text.startsWith('${', at)) return at + 2;
    at += text[at] === '\\' ? 2 : 1;
  }
  return at + 1;
}

function endOfRegExp(text: string, from: number): number {
  let at = from;
  let inClass = false;
  while (at < text.length && text[at] !== '\n' && (inClass || text[at] !== '/')) {
    if (text[at] === '[') inClass = true;
    else if (text[at] === ']') inClass = false;
    at += text[at] === '\\' ? 2 : 1;
  }
  return at + 1;
}

/** A slash divides after a value and starts a regular expression after anything else. */
function startsRegExp(text: string, at: number): boolean {
  const before = text.slice(Math.max(0, at - 60), at).trimEnd();
  if (before === '') return true;
  if (/(?:^|[^\w$.])(?:return|case|typeof|void|in|of|do|else|await|yield)$/.test(before))
    return true;
  return !/[\w$)\]}'"`]$/.test(before);
}
