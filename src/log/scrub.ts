/**
 * What a log line may show of a value: no secrets, no cycles, a bounded size.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { redactUrl } from '../core/redact.ts';

/** Levels of objects that are written out; what lies deeper is named by its type. */
const MAX_DEPTH = 6;
/** Members of one object, and elements of one array, that are written out. */
const MAX_MEMBERS = 64;
/** Longest text, in UTF-16 units. Stacks are the longest that belong into a log. */
const MAX_TEXT = 16_384;

const HIDDEN = '[hidden]';
const secretName =
  /(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|api_?-?key|private_?-?key|credentials?|authorization|cookie)$/i;
/** Up to the next blank: a password may hold any other character, and rather too much is taken out than too little. */
const urls = /\b[a-z][a-z0-9+.-]{0,30}:\/\/\S+/gi;
const closing: ReadonlySet<string | undefined> = new Set(`"'<>\`)]},.;:`);

/** `text` with the secrets taken out of every URL in it, at most {@link MAX_TEXT} long. */
export function scrubText(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  if (!short.includes('://')) return short;
  return short.replaceAll(urls, (url) => {
    // A pattern that ends with `+$` looks at each of many closing brackets again and again.
    let end = url.length;
    while (closing.has(url[end - 1])) end--;
    return redactUrl(url.slice(0, end)) + url.slice(end);
  });
}

/**
 * `value` as plain data for a line: texts without the secrets of URLs, members with telling names (`password`, `token`, …) hidden, errors
 * with code, text, stack and cause, bigints as texts, bytes by their length. Never throws.
 */
export function scrub(value: unknown): unknown {
  return plain(value, 0, new Set());
}

function plain(value: unknown, depth: number, above: Set<object>): unknown {
  if (typeof value === 'string') return scrubText(value);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return `[function ${value.name}]`;
  if (typeof value !== 'object' || value === null) return value;
  return plainObject(value, depth, above);
}

function plainObject(value: object, depth: number, above: Set<object>): unknown {
  if (above.has(value)) return '[circular]';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof URL) return scrubText(value.href);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= MAX_DEPTH) return Array.isArray(value) ? '[array]' : '[object]';
  above.add(value);
  try {
    if (value instanceof Error) return plainError(value, depth, above);
    if (value instanceof Set || Array.isArray(value)) {
      const elements: readonly unknown[] = Array.isArray(value) ? value : [...value];
      return elements.slice(0, MAX_MEMBERS).map((element) => plain(element, depth + 1, above));
    }
    const members: Iterable<[unknown, unknown]> =
      value instanceof Map ? (value as Map<unknown, unknown>) : Object.entries(value);
    return plainMembers(members, depth, above);
  } catch {
    // A getter or a proxy that throws.
    return '[unreadable]';
  } finally {
    above.delete(value);
  }
}

function plainMembers(
  members: Iterable<[unknown, unknown]>,
  depth: number,
  above: Set<object>,
): Record<string, unknown> {
  const made: [string, unknown][] = [];
  for (const [name, member] of members) {
    if (made.length >= MAX_MEMBERS) break;
    const text = scrubText(String(name));
    made.push([text, secretName.test(text) ? HIDDEN : plain(member, depth + 1, above)]);
  }
  return Object.fromEntries(made);
}

function plainError(error: Error, depth: number, above: Set<object>): Record<string, unknown> {
  const { name, message, stack, cause } = error;
  return {
    // pino-pretty shows a stack as such when it finds type, message and stack.
    type: name,
    message: scrubText(message),
    stack: scrubText(stack ?? message),
    ...(MillraceError.is(error)
      ? {
          code: error.code,
          domain: error.domain,
          retryable: error.retryable,
          details: plain(error.details, depth + 1, above),
        }
      : {}),
    ...(cause === undefined ? {} : { cause: plain(cause, depth + 1, above) }),
  };
}
