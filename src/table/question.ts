/**
 * Questions about a row, as they travel to the owner of its task, and their answers.
 *
 * ```
 * question: msgpack of [1, table, key bytes, window]       window: null, its start, or [step] for the current one by stream time
 * answer:   0x00 — no row;  0x01, row as the table's codec writes it
 * ```
 *
 * A question carries all that it takes to find the row: whoever answers need not have declared the table.
 *
 * @module
 */
import { encodeKey, keyRefFromBytes } from '../codec/key.ts';
import type { Codec } from '../codec/codec.ts';
import { msgpack } from '../codec/msgpack.ts';
import { MillraceError } from '../core/errors.ts';
import type { TaskState } from '../state/task-state.ts';
import { lastStart } from '../window/assign.ts';

const VERSION = 1;

/** Which row is wanted. */
export interface Question {
  /** The name that it is stored under: what it is called in the program of who answers may be something else. */
  readonly table: string;
  /** Canonical bytes. */
  readonly key: Uint8Array;
  /** Of a windowed table: the start of the window, or the step of its windows, for the one that holds the stream time of the task. */
  readonly window:
    | undefined
    | { readonly start: number }
    | { readonly current: { readonly stepMs: number } };
}

/** An answer, and whether it holds. */
export interface Answered {
  readonly answer: Uint8Array;
  /** The row has changes that are not committed. */
  readonly dirty: boolean;
}

/** A question about `key`. @throws `MR_KEY_INVALID` */
export function questionOf(table: string, key: unknown, window: Question['window']): Question {
  return { table, key: encodeKey(key), window };
}

export function encodeQuestion({ table, key, window }: Question): Uint8Array {
  const asked =
    window === undefined ? null : 'start' in window ? window.start : [window.current.stepMs];
  return msgpack.encode([VERSION, table, key, asked]);
}

/** @throws `MR_VERSION_UNSUPPORTED` for the question of a newer version, `MR_DECODE_FAILED` for what is none. */
export function decodeQuestion(bytes: Uint8Array): Question {
  const parts = msgpack.decode(bytes);
  if (!Array.isArray(parts) || typeof parts[0] !== 'number') throw noQuestion(bytes);
  const [version, table, key, asked] = parts as readonly unknown[];
  if (version !== VERSION)
    throw new MillraceError(
      'MR_VERSION_UNSUPPORTED',
      `a question of version ${String(version)} was asked about a table; run one version of millrace in all processes of an app`,
    );
  const window = windowOf(asked);
  if (typeof table !== 'string' || !(key instanceof Uint8Array) || window === null)
    throw noQuestion(bytes);
  return { table, key, window };
}

function windowOf(asked: unknown): Question['window'] | null {
  if (asked === null) return undefined;
  if (Number.isSafeInteger(asked)) return { start: asked as number };
  const step: unknown = Array.isArray(asked) ? asked[0] : undefined;
  if (Number.isSafeInteger(step) && (step as number) > 0)
    return { current: { stepMs: step as number } };
  return null;
}

function noQuestion(bytes: Uint8Array): MillraceError {
  return new MillraceError(
    'MR_DECODE_FAILED',
    `these ${bytes.length} bytes are not a question about a table`,
    { details: { bytes: bytes.length } },
  );
}

/** The start of the window that a question is about; `undefined` when stream time is not known yet, so that there is none. */
export function askedStart(
  window: Exclude<Question['window'], undefined>,
  streamTime: number,
): number | undefined {
  if ('start' in window) return window.start;
  return Number.isFinite(streamTime) ? lastStart(window.current, streamTime) : undefined;
}

/** How the rows of a table are kept. */
export interface RowFormat {
  readonly codec: Codec<unknown>;
  /** How long rows live, in milliseconds; `undefined`: for ever. */
  readonly ttlMs?: number | undefined;
}

/**
 * Answers from the state of a task. Changes nothing.
 *
 * What it gives is what the task knows now. To be read-committed, whoever calls it
 * - sends an answer at once when it is not dirty and no commit is under way;
 * - lets it wait for the end of a commit that is under way when it is not dirty;
 * - when it is dirty, asks again where the next commit takes its rows, and sends that when the commit is durable: what an unfinished event has
 *   written may still be taken back.
 *
 * @throws as {@link decodeQuestion}; `MR_TOPOLOGY_CHANGED` when the table has windows and the question none, or the other way round.
 */
export function answerQuestion(
  state: TaskState,
  streamTime: number,
  format: (table: string) => RowFormat,
  bytes: Uint8Array,
): Answered {
  const { table, key, window } = decodeQuestion(bytes);
  const { codec, ttlMs } = format(table);
  // To ask for a table must not bring it into being.
  if (!state.names().includes(table)) return { answer: noRow, dirty: false };
  const ref = keyRefFromBytes(key);
  if (window === undefined) {
    const store = state.keyed(table, codec, ttlMs);
    const row = store.find(ref);
    if (row === undefined) return { answer: noRow, dirty: false };
    return { answer: encodeRow(store.read(row), codec), dirty: row.dirty };
  }
  const start = askedStart(window, streamTime);
  const store = state.windowed(table, codec);
  const row = start === undefined ? undefined : store.find(start, ref);
  if (row === undefined) return { answer: noRow, dirty: false };
  return { answer: encodeRow(store.read(row), codec), dirty: row.dirty };
}

const noRow: Uint8Array = Uint8Array.of(0);

function encodeRow(value: unknown, codec: Codec<unknown>): Uint8Array {
  return value === undefined ? noRow : storedRow(codec.encode(value));
}

/** The answer of a row that is there as bytes. */
export function storedRow(bytes: Uint8Array | undefined): Uint8Array {
  if (bytes === undefined) return noRow;
  const answer = new Uint8Array(1 + bytes.length);
  answer[0] = 1;
  answer.set(bytes, 1);
  return answer;
}

/** The row of an answer, or `undefined`. @throws `MR_DECODE_FAILED` */
export function decodeAnswer(answer: Uint8Array, codec: Codec<unknown>): unknown {
  const [kind] = answer;
  if (kind === 0 && answer.length === 1) return undefined;
  if (kind === 1) return codec.decode(answer.subarray(1));
  throw new MillraceError(
    'MR_DECODE_FAILED',
    `these ${answer.length} bytes are not an answer about a table; run one version of millrace in all processes of an app`,
  );
}
