/**
 * What broker objects say to each other, as bytes.
 *
 * ```
 * hello    0, "millrace", u8 version                           first of every link, from the end that connected
 * poke     1, u8 kind                                          look: something has changed
 * poked    2, u8 kind                                          that was heard; the next poke of this kind may come
 * ask      3, u32 id, u16 n, group, u16 n, task, question
 * answer   4, u32 id, answer
 * refusal  5, u32 id, JSON of an error
 * ```
 *
 * Numbers are little-endian. Anything else is refused, whoever has sent it.
 *
 * @module
 */
import { messageOf, MillraceError, type ErrorCode, type ErrorDomain } from '../../core/errors.ts';

const VERSION = 1;
/** Longest text of an error, in UTF-16 units. */
const MAX_TEXT = 16_384;
const GREETING: Buffer = Buffer.from(`\u0000millrace${String.fromCharCode(VERSION)}`, 'latin1');

/** What a poke is about: records that were appended, or the members and tasks of a group. */
export type PokeKind = 'changes' | 'group';
const KINDS: readonly PokeKind[] = ['changes', 'group'];

export interface Ask {
  readonly id: number;
  readonly group: string;
  readonly task: string;
  readonly question: Uint8Array;
}

export type Message =
  | { readonly type: 'hello' }
  | { readonly type: 'poke' | 'poked'; readonly kind: PokeKind }
  | ({ readonly type: 'ask' } & Ask)
  | { readonly type: 'answer'; readonly id: number; readonly answer: Uint8Array }
  | { readonly type: 'refusal'; readonly id: number; readonly error: MillraceError };

export function encodeHello(): Buffer {
  return GREETING;
}

export function encodePoke(type: 'poke' | 'poked', kind: PokeKind): Buffer {
  return Buffer.of(type === 'poke' ? 1 : 2, KINDS.indexOf(kind));
}

export function encodeAsk({ id, group, task, question }: Ask): Buffer {
  const names = [group, task].map((name) => Buffer.from(name, 'utf8'));
  const parts = names.flatMap((name) => [u16(name.length), name]);
  return Buffer.concat([Buffer.of(3), u32(id), ...parts, question]);
}

export function encodeAnswer(id: number, answer: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(4), u32(id), answer]);
}

/** Errors of millrace travel with code, text and details as far as JSON can say them; of others only the text does. */
export function encodeRefusal(id: number, error: unknown): Buffer {
  const known = MillraceError.is(error);
  const head = known
    ? { code: error.code, domain: error.domain, retryable: error.retryable }
    : { code: 'MR_INTERNAL', domain: 'internal', retryable: false };
  const message = messageOf(error).slice(0, MAX_TEXT);
  return Buffer.concat([
    Buffer.of(5),
    u32(id),
    Buffer.from(JSON.stringify({ ...head, message, details: known ? detailsOf(error) : {} })),
  ]);
}

/** @throws `MR_ARGUMENT_INVALID` for bytes that are no message. */
export function decodeMessage(bytes: Buffer): Message {
  const message = decode(bytes);
  if (message !== undefined) return message;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `a message of ${bytes.length} bytes beginning with ${bytes.toString('hex', 0, 16)} is not one of millrace`,
    { domain: 'external' },
  );
}

function decode(bytes: Buffer): Message | undefined {
  const body = bytes.subarray(5);
  const type = bytes[0] ?? -1;
  switch (type) {
    case 0:
      return bytes.equals(GREETING) ? { type: 'hello' } : undefined;
    case 1:
    case 2: {
      const kind = KINDS[bytes[1] ?? -1];
      if (bytes.length !== 2 || kind === undefined) return undefined;
      return { type: type === 1 ? 'poke' : 'poked', kind };
    }
    case 3:
      return bytes.length < 9 ? undefined : decodeAsk(bytes.readUInt32LE(1), body);
    case 4:
      if (bytes.length < 5) return undefined;
      return { type: 'answer', id: bytes.readUInt32LE(1), answer: body };
    case 5: {
      const error = bytes.length < 5 ? undefined : decodeError(body);
      return error && { type: 'refusal', id: bytes.readUInt32LE(1), error };
    }
    default:
      return undefined;
  }
}

function decodeAsk(id: number, body: Buffer): Message | undefined {
  const groupEnd = 2 + body.readUInt16LE(0);
  if (body.length < groupEnd + 2) return undefined;
  const taskEnd = groupEnd + 2 + body.readUInt16LE(groupEnd);
  if (body.length < taskEnd) return undefined;
  const group = body.toString('utf8', 2, groupEnd);
  const task = body.toString('utf8', groupEnd + 2, taskEnd);
  return { type: 'ask', id, group, task, question: body.subarray(taskEnd) };
}

function decodeError(body: Buffer): MillraceError | undefined {
  let head: object;
  try {
    head = Object(JSON.parse(body.toString('utf8'))) as object;
  } catch {
    return undefined;
  }
  const { code, domain, retryable, message, details } = head as Readonly<Record<string, unknown>>;
  if (typeof code !== 'string' || !/^MR_[A-Z_]{1,60}$/.test(code)) return undefined;
  // Anything else may not even have a text, and whoever asked prints this.
  if (typeof message !== 'string') return undefined;
  const domains: readonly unknown[] = ['user', 'external', 'internal'] satisfies ErrorDomain[];
  return new MillraceError(code as ErrorCode, message.slice(0, MAX_TEXT), {
    domain: domains.includes(domain) ? (domain as ErrorDomain) : 'external',
    retryable: retryable === true,
    details: Object(details) as Record<string, unknown>,
  });
}

function detailsOf({ details }: MillraceError): unknown {
  try {
    const text = JSON.stringify(details);
    return text.length > 65_536 ? {} : (JSON.parse(text) as unknown);
  } catch {
    return {};
  }
}

function u16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
