/**
 * What goes wrong outside, as errors of millrace.
 *
 * @module
 */
import { messageOf, MillraceError } from '../core/errors.ts';

const codes: Readonly<Record<string, 'MR_IN_USE' | 'MR_PERMISSION' | 'MR_DISK_FULL'>> = {
  EADDRINUSE: 'MR_IN_USE',
  EACCES: 'MR_PERMISSION',
  EPERM: 'MR_PERMISSION',
  ENOSPC: 'MR_DISK_FULL',
  EDQUOT: 'MR_DISK_FULL',
};

/**
 * `cause` as an error of the outside world: `MR_IN_USE`, `MR_PERMISSION`, `MR_DISK_FULL` or `MR_IO`. One of millrace stays as it is.
 *
 * @param what What could not be done, and what to try: `'tcp 127.0.0.1:9000 cannot be reached; …'`.
 */
export function outside(
  what: string,
  cause: unknown,
  details: Readonly<Record<string, unknown>> = {},
): MillraceError {
  if (MillraceError.is(cause)) return cause;
  const real = underneath(cause);
  const system = systemCode(real);
  return new MillraceError(codes[system ?? ''] ?? 'MR_IO', `${what} (${reason(real)})`, {
    domain: 'external',
    retryable: true,
    cause,
    details: system === undefined ? details : { ...details, system },
  });
}

/** The code of the system, such as `ENOENT`, if there is one. */
export function systemCode(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** What `fetch`, and connections that try several addresses, throw says nothing; what is underneath does. */
function underneath(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0)
    return underneath(error.errors[0]);
  return error instanceof TypeError && error.cause !== undefined ? underneath(error.cause) : error;
}

function reason(error: unknown): string {
  const text = messageOf(error);
  return text === '' ? (systemCode(error) ?? 'no reason given') : text;
}
