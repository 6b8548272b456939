/**
 * Options that several connectors have, and what is checked of them.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import { checkWhole, kindOf } from '../core/given.ts';
import { redactUrl } from '../core/redact.ts';

/** What every source outside a broker takes. */
export interface ConnectorOptions {
  /** For pictures and errors. Default: the kind of the source. */
  readonly name?: string | undefined;
  /** Ends the source in good order when it aborts, as `close()` does. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Default: the platform's clock. */
  readonly clock?: Clock | undefined;
}

/** {@link ConnectorOptions}, for `checkOptions`. */
export const connectorOptions: Readonly<Record<keyof ConnectorOptions, true>> = {
  name: true,
  signal: true,
  clock: true,
};

/** A megabyte is enough for a line or a body, and little for a process. */
const DEFAULT_MAX_BYTES = 2 ** 20;
const MAX_BYTES = 2 ** 30;

/** A number of bytes, 1 to 1 GiB. @throws {@link MillraceError} `MR_OPTION_INVALID` */
export function byteLimit(option: string, value: number = DEFAULT_MAX_BYTES): number {
  checkWhole(option, value, 1, MAX_BYTES);
  return value;
}

/** A port; 0 lets the system choose one. @throws {@link MillraceError} `MR_OPTION_INVALID` */
export function portOf(value: number, least: 0 | 1): number {
  checkWhole('port', value, least, 65_535);
  return value;
}

/** One of `known`. @throws {@link MillraceError} `MR_OPTION_INVALID` */
export function oneOf<T extends string>(option: string, value: T, known: readonly T[]): T {
  if (!known.includes(value))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${option} is ${kindOf(value)}; give ${known.map((each) => `'${each}'`).join(' or ')}`,
      { details: { option, value } },
    );
  return value;
}

/** A text that is not empty. @throws {@link MillraceError} `MR_ARGUMENT_INVALID` */
export function textOf(what: string, value: unknown): string {
  if (typeof value !== 'string' || value === '' || value.includes('\0'))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${what} was given ${kindOf(value)}; give a text that is not empty`,
      { details: { what } },
    );
  return value;
}

/**
 * A URL of one of `protocols`, each with its colon.
 *
 * @throws {@link MillraceError} `MR_URL_INVALID`, without what may be secret in it.
 */
export function urlOf(what: string, value: string | URL, protocols: readonly string[]): URL {
  const text = String(value);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !protocols.includes(url.protocol))
    throw new MillraceError(
      'MR_URL_INVALID',
      `${what} was given ${JSON.stringify(redactUrl(text))}; give a URL that starts with ${protocols.map((each) => `${each}//`).join(' or ')}`,
      { details: { url: redactUrl(text) } },
    );
  return url;
}

/** User and password of a URL, as they are meant: in a URL they are escaped. */
export function credentialsOf({ username, password }: URL): {
  readonly username?: string;
  readonly password?: string;
} {
  return {
    ...(username === '' ? {} : { username: unescaped(username) }),
    ...(password === '' ? {} : { password: unescaped(password) }),
  };
}

/** A percent sign that escapes nothing stands for itself. */
function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
