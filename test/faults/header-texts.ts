/** Headers for comparisons: they are stored as bytes. */
import type { Headers } from 'millrace';

export function headerTexts(headers: Headers): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Buffer.from(value).toString()]),
  );
}
