/**
 * Recovery: the state of a task as its last commit left it, from its checkpoint and the rest of its changelog.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';
import { checkpointPosition, checkpointRows, checkPosition } from './checkpoint.ts';
import { TaskState } from './task-state.ts';

/** A recovered state. */
export interface Recovered {
  readonly state: TaskState;
  /** Rows from the checkpoint and entries from the changelog that were applied. */
  readonly entries: number;
  /** Changelog records behind the checkpoint: how much the next recovery would replay. */
  readonly behind: number;
}

/** How often a reader beside the owner starts over when a checkpoint moves under it. */
const ATTEMPTS = 20;

/**
 * Loads the state of a task. Reads only, so it may run beside the owner of the task: what it returns is then the state of
 * some commit.
 *
 * @throws `MR_IO` (retryable) when the owner's checkpoints were faster than the reader 20 times over. `MR_CORRUPT` when checkpoint and
 * changelog do not belong together.
 */
export async function recover(
  broker: Broker,
  changelog: string,
  partition: number,
  stateId: number,
): Promise<Recovered> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const recovered = await read(broker, changelog, partition, stateId);
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
): Promise<Recovered | undefined> {
  const state = new TaskState();
  let entries = 0;
  const from = checkpointPosition(broker.state, stateId);
  for (const [rowKey, value] of checkpointRows(broker.state, stateId)) {
    state.apply(rowKey, value);
    entries++;
  }
  const { start, end } = await broker.bounds(changelog, partition);
  if (!Object.is(checkpointPosition(broker.state, stateId), from)) return undefined;
  checkPosition(changelog, partition, from, start, end);
  const reader = broker.reader(changelog, partition, from);
  let behind = 0;
  try {
    for (;;) {
      const frame = await reader.next();
      if (frame === undefined) return { state, entries: entries + behind, behind };
      state.applyFrame(frame, from);
      behind += frame.count;
    }
  } catch (error) {
    if (MillraceError.is(error) && error.code === 'MR_OFFSET_LOST') return undefined;
    throw error;
  }
}
