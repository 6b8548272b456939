/**
 * URLs as they may be shown.
 *
 * @module
 */

/**
 * The URL without what may be secret: user, password, query and fragment. For errors, logs and pictures. Where it is not sure
 * what belongs to a password, everything but the scheme goes.
 */
export function redactUrl(url: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(url)?.[0] ?? '';
  if (/^(?:file|memory):$/i.test(scheme)) return redactPlace(scheme, url.slice(scheme.length));
  if (!url.includes('@')) return url.replace(/[?#].*$/s, '').slice(0, 1024);
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (
    parsed === undefined ||
    parsed.host === '' ||
    (parsed.pathname + parsed.search + parsed.hash).includes('@')
  )
    return `${scheme}***`;
  return `${parsed.protocol}//***@${parsed.host}${parsed.pathname}`.slice(0, 1024);
}

/** A path is shown as it is, unless it is written as part of a proper URL, or looks like the rest of one. */
function redactPlace(scheme: string, rest: string): string {
  const memory = scheme.toLowerCase() === 'memory:';
  if (!memory && !rest.startsWith('//')) return (scheme + rest).slice(0, 1024);
  if (rest.includes('@') && (memory || !rest.startsWith('///'))) return `${scheme}***`;
  return (scheme + rest.replace(/[?#].*$/s, '')).slice(0, 1024);
}
