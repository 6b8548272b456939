/**
 * What a commit carries besides positions and outputs: stream times and counters, so that they are as exact as the state.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { SavedInputTime } from '../window/stream-time.ts';

/** Saved with every commit of a task. */
export interface TaskMeta {
  readonly format: 1;
  /** Stream time of the task; `null` before anything is known. */
  readonly time: number | null;
  readonly inputs: readonly SavedInputTime[];
  /** Events processed by the task since the group began. */
  readonly events: number;
  /** Events that were given up, that went to a topic for dead letters, and that were deleted before they were read. */
  readonly skipped: number;
  readonly deadLettered: number;
  readonly lost: number;
  /** Events that came for a closed window, by table, since the group began. */
  readonly late: Readonly<Record<string, number>>;
  /** Tables that the task holds rows of. */
  readonly tables: readonly string[];
  /**
   * By topic: offsets of events behind the position that are done with all the same, in ascending order. Where several are under way at once, one
   * that waits for its turn does not keep those behind it from being committed.
   */
  readonly done: Readonly<Record<string, readonly number[]>>;
  /** By windowed table: windows whose end is at or before this are closed for good, whatever their grace becomes. */
  readonly closed: Readonly<Record<string, number>>;
}

const noMeta: TaskMeta = {
  format: 1,
  time: null,
  inputs: [],
  events: 0,
  skipped: 0,
  deadLettered: 0,
  lost: 0,
  late: {},
  tables: [],
  done: {},
  closed: {},
};

export function encodeMeta(meta: TaskMeta): Uint8Array {
  return Buffer.from(JSON.stringify(meta));
}

/** @throws `MR_VERSION_UNSUPPORTED` for what a newer version wrote, `MR_CORRUPT` for what none did. */
export function decodeMeta(bytes: Uint8Array | undefined, task: string): TaskMeta {
  if (bytes === undefined) return noMeta;
  const meta = parse(bytes, task);
  if (meta.format !== 1)
    throw new MillraceError(
      'MR_VERSION_UNSUPPORTED',
      `task ${task} was last committed by a newer version of millrace; upgrade this one`,
      {
        details: { task, format: meta.format },
      },
    );
  return { ...noMeta, ...meta };
}

function parse(bytes: Uint8Array, task: string): TaskMeta {
  let meta: unknown;
  let cause: unknown;
  try {
    meta = JSON.parse(Buffer.from(bytes).toString());
  } catch (error) {
    cause = error;
  }
  if (typeof meta === 'object' && meta !== null) return meta as TaskMeta;
  throw new MillraceError(
    'MR_CORRUPT',
    `what task ${task} committed last (${bytes.length} bytes) cannot be read; restore the directory from a backup`,
    { domain: 'external', cause, details: { task } },
  );
}
