/**
 * Recovery: the state of a task as its last commit left it, from its checkpoint and the rest of its changelog.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';
import { checkpointBase } from './checkpoint-base.ts';
import { CheckpointReader } from './checkpoint-rows.ts';
import { checkPosition } from './checkpoint.ts';
import { TaskState } from './task-state.ts';

/** A recovered state. */
export interface Recovered {
  readonly state: TaskState;
  /** Rows from the checkpoint and entries from the changelog that were applied. */
  readonly entries: number;
  /** Changelog records behind the checkpoint: how much the next recovery would replay. */
  readonly behind: number;
}

/** How a state is recovered. */
export interface RecoverOptions {
  /**
   * How many rows memory should hold at most; a checkpoint with more is not loaded but read as it is needed. For the owner of the task alone: the
   * checkpoint must not move but by its own steps. Default: no bound.
   */
  readonly cacheRows?: number | undefined;
}

/** How often a reader beside the owner starts over when a checkpoint moves under it. */
const ATTEMPTS = 20;

/**
 * Loads the state of a task. Reads only, so it may run beside the owner of the task: what it returns is then the state of
 * some commit.
 *
 * @throws `MR_IO` (retryable) when the owner's checkpoints were faster than the reader 20 times over. `MR_CORRUPT` when checkpoint and
 * changelog do not belong together, or a checksum is wrong.
 */
export async function recover(
  broker: Broker,
  changelog: string,
  partition: number,
  stateId: number,
  options: RecoverOptions = {},
): Promise<Recovered> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const recovered = await read(broker, changelog, partition, stateId, options.cacheRows);
    if (recovered !== undefined) return recovered;
  }
  throw new MillraceError(
    'MR_IO',
    `the checkpoint of ${changelog}[${partition}] moved on ${ATTEMPTS} times while it was read; try again`,
    { domain: 'external', retryable: true, details: { changelog, partition } },
  );
}

/** `undefined` when a checkpoint moved on meanwhile, so that rows and changelog do not belong together. */
async function read(
  broker: Broker,
  changelog: string,
  partition: number,
  stateId: number,
  cacheRows: number | undefined,
): Promise<Recovered | undefined> {
  const task = `${changelog}[${partition}]`;
  const checkpoint = new CheckpointReader(broker.state, stateId, task);
  const from = checkpoint.head().position;
  const base = checkpointBase(broker.state, stateId, task);
  let state = new TaskState(
    cacheRows === undefined ? undefined : { cacheRows, base, complete: true },
  );
  let entries = load(state, checkpoint, cacheRows ?? Infinity);
  if (entries === undefined && cacheRows !== undefined) {
    state = new TaskState({ cacheRows, base, complete: false });
    entries = 0;
  }
  const { start, end } = await broker.bounds(changelog, partition);
  if (!Object.is(checkpoint.head().position, from)) return undefined;
  checkPosition(changelog, partition, from, start, end);
  const reader = broker.reader(changelog, partition, from);
  let behind = 0;
  try {
    for (;;) {
      const frame = await reader.next();
      if (frame === undefined) return { state, entries: (entries ?? 0) + behind, behind };
      state.applyFrame(frame, from);
      behind += frame.count;
    }
  } catch (error) {
    if (MillraceError.is(error) && error.code === 'MR_OFFSET_LOST') return undefined;
    throw error;
  }
}

/** Loads a checkpoint in one go, so that no step of its owner comes between. `undefined` when it holds more than `limit` rows. */
function load(state: TaskState, checkpoint: CheckpointReader, limit: number): number | undefined {
  let entries = 0;
  for (const { page } of checkpoint.pages()) {
    entries += page.count;
    if (entries > limit) return undefined;
    state.applyPage(page);
  }
  for (const [rowKey, value] of checkpoint.longRows()) {
    if (++entries > limit) return undefined;
    state.apply(rowKey, value);
  }
  return entries;
}
