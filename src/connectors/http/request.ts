/**
 * Requests to other servers: URL, headers, and what answers mean.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { redactUrl } from '../../core/redact.ts';
import { credentialsOf, urlOf } from '../options.ts';

/** Headers of requests. */
export type RequestHeaders = Readonly<Record<string, string>>;

/** Where requests go. */
export interface Target {
  readonly url: URL;
  /** For errors: without what may be secret. */
  readonly shown: string;
  readonly headers: Headers;
}

/**
 * @param standard Headers that `headers` may replace.
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`
 */
export function targetOf(
  what: string,
  given: string | URL,
  headers: RequestHeaders = {},
  standard: RequestHeaders = {},
): Target {
  const url = urlOf(what, given, ['http:', 'https:']);
  const shown = redactUrl(url.href);
  const all = new Headers(standard);
  const { username, password } = credentialsOf(url);
  if (username !== undefined || password !== undefined) {
    // `fetch` refuses them in the URL.
    const credentials = `${username ?? ''}:${password ?? ''}`;
    all.set('authorization', `Basic ${Buffer.from(credentials).toString('base64')}`);
    url.username = '';
    url.password = '';
  }
  for (const [name, value] of Object.entries(headers))
    try {
      all.set(name, value);
    } catch {
      // Without the value, which may be a secret.
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `headers of ${what} has ${JSON.stringify(name.slice(0, 40))}, which is no header, or has a value that is none; give texts without line ends`,
        { details: { option: 'headers', name } },
      );
    }
  return { url, shown, headers: all };
}

/** Whether the same request may succeed later: too many requests, or the other side's own trouble. */
export function mayPass(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

/** What `Retry-After` asks for, in milliseconds from `nowMs`: seconds or a date. 0 when there is none. */
export function retryAfterMs(headers: Headers, nowMs: number): number {
  const text = headers.get('retry-after')?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs);
}
