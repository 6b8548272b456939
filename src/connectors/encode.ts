/**
 * Values on their way out, where the other side takes texts and bytes.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';

/** Makes of a value what is sent. */
export type Encode<T> = (value: T) => string | Uint8Array;

/** Texts and bytes as they are, everything else as JSON. @throws {@link MillraceError} `MR_ENCODE_FAILED` for what JSON cannot carry. */
export function plain(value: unknown): string | Uint8Array {
  return typeof value === 'string' || value instanceof Uint8Array ? value : asJson(value);
}

/** JSON. @throws {@link MillraceError} `MR_ENCODE_FAILED` for what it cannot carry. */
export function asJson(value: unknown): string {
  let text: string | undefined;
  let cause: unknown;
  try {
    // Undefined for functions, symbols and undefined, whatever its type says.
    text = JSON.stringify(value) as string | undefined;
  } catch (error) {
    cause = error;
  }
  if (text === undefined)
    throw new MillraceError(
      'MR_ENCODE_FAILED',
      `a value of type ${typeof value} cannot be sent as JSON; send plain data, or give encode`,
      { cause, details: { type: typeof value } },
    );
  return text;
}
