/**
 * Taking checkpoints: the changelog of a task, applied to what is stored of its state up to a position.
 *
 * A step reads some changelog frames, works out which pages change, and writes them in small transactions that hold nobody up for long: each
 * leaves every row in its place, and the last one moves the position. In between, the store holds rows that are ahead of the position. That does no harm: the changelog behind the
 * position is still there, and whoever recovers applies it all, whole values every time. What is never there is a row that is not committed,
 * since a checkpoint is taken from the changelog and never from memory.
 *
 * Each transaction counts one write more, and is refused when somebody else has written since: a former owner that wakes up late does
 * no harm. Two that go on at once make each other start over.
 *
 * @module
 */
import type { Broker, PartitionReader } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import { MillraceError } from '../core/errors.ts';
import { changesOf } from './changes.ts';
import type { Changes } from './changes.ts';
import { CheckpointReader, headAddress, headValue, TABLE } from './checkpoint-rows.ts';
import type { CheckpointHead } from './checkpoint-rows.ts';
import { changeLong, expireRange, mergeRows } from './merge.ts';
import type { StoreWrite } from './merge.ts';

/** How much of a changelog one step applies, at most, unless a single frame holds more. */
const MAX_STEP_BYTES = 16 * 1024 * 1024;

/** How much one transaction writes, about. */
const MAX_BATCH_BYTES = 1024 * 1024;
const MAX_BATCH_WRITES = 1_024;

/** A checkpoint is not worth its while for fewer changelog entries: a recovery replays them in some 150 ms. */
const LEAST_BEHIND = 200_000;

/** A recovery replays at most so many, which takes it less than a second. */
const MOST_BEHIND = 500_000;

/** What a step did. */
export interface CheckpointStep {
  /** The checkpoint's position after the step. */
  readonly position: number;
  /** Whether the changelog held nothing more. */
  readonly complete: boolean;
}

/**
 * Whether a checkpoint should be taken of a state of `rows` rows when `behind` changelog entries are not in it. Many changes at once cost less
 * each, since they meet in the same pages; too many make a recovery slow.
 */
export function checkpointDue(behind: number, rows: number): boolean {
  return behind >= Math.min(Math.max(LEAST_BEHIND, rows), MOST_BEHIND);
}

/**
 * Applies the next changelog frames of a task, about 16 MiB of them, then deletes them from the changelog.
 * Call again until it is complete. Two callers at once do no harm: one of them gets nothing done.
 *
 * @throws `MR_CORRUPT` when checkpoint and changelog do not belong together, or a checksum is wrong.
 */
export async function checkpointStep(
  broker: Broker,
  changelog: string,
  partition: number,
  stateId: number,
): Promise<CheckpointStep> {
  const reader = new CheckpointReader(broker.state, stateId, `${changelog}[${partition}]`);
  const head = reader.head();
  const from = head.position;
  const { start, end } = await broker.bounds(changelog, partition);
  const moved = reader.head().position;
  if (!Object.is(moved, from)) return { position: moved, complete: false };
  checkPosition(changelog, partition, from, start, end);
  const { frames, complete } = await nextFrames(broker.reader(changelog, partition, from));
  const last = frames.at(-1);
  if (last === undefined) {
    // A step that was interrupted may have left them.
    if (start < from) await broker.truncate(changelog, partition, from);
    return { position: from, complete };
  }
  const batches = new Batches(broker, stateId, head);
  if (!(await apply(batches, reader, stateId, changesOf(frames), last.end)))
    return { position: reader.head().position, complete: false };
  await broker.truncate(changelog, partition, last.end);
  return { position: last.end, complete };
}

/** The offset up to which a checkpoint is applied; 0 where there is none. @throws `MR_CORRUPT` */
export function checkpointPosition(kv: Broker['state'], stateId: number, task?: string): number {
  return new CheckpointReader(kv, stateId, task).head().position;
}

/**
 * Checks that the changelog goes on where the checkpoint ends.
 *
 * @throws `MR_CORRUPT`
 */
export function checkPosition(
  changelog: string,
  partition: number,
  position: number,
  start: number,
  end: number,
): void {
  if (Number.isSafeInteger(position) && position >= start && position <= end) return;
  throw new MillraceError(
    'MR_CORRUPT',
    `the checkpoint of ${changelog}[${partition}] stands at position ${position}, but the changelog reaches from ${start} to ${end}: rows are missing; restore the directory from a backup`,
    { domain: 'external', details: { changelog, partition, position, start, end } },
  );
}

async function nextFrames(
  reader: PartitionReader,
): Promise<{ frames: readonly FrameView[]; complete: boolean }> {
  const frames: FrameView[] = [];
  for (let bytes = 0; bytes < MAX_STEP_BYTES;) {
    const frame = await reader.next();
    if (frame === undefined) return { frames, complete: true };
    frames.push(frame);
    bytes += frame.byteLength;
  }
  return { frames, complete: false };
}

/** `false` when somebody else was at it. */
async function apply(
  batches: Batches,
  reader: CheckpointReader,
  stateId: number,
  { expired, rows, long }: Changes,
  position: number,
): Promise<boolean> {
  for (const range of expired)
    for (const writes of expireRange(reader, stateId, range))
      if (batches.add(writes) && !(await batches.flush())) return false;
  // What is merged next reads the pages anew.
  if (expired.length > 0 && !(await batches.flush())) return false;
  for (const merged of [mergeRows(reader, stateId, rows), changeLong(stateId, long)])
    for (const writes of merged) if (batches.add(writes) && !(await batches.flush())) return false;
  return await batches.flush(position);
}

/** Writes to the store, some at a time. */
class Batches {
  readonly #broker: Broker;
  readonly #stateId: number;
  #head: CheckpointHead;
  #writes: StoreWrite[] = [];
  #bytes = 0;

  constructor(broker: Broker, stateId: number, head: CheckpointHead) {
    this.#broker = broker;
    this.#stateId = stateId;
    this.#head = head;
  }

  /** Adds writes that belong into one transaction. Tells whether it is time to flush. */
  add(writes: readonly StoreWrite[]): boolean {
    for (const write of writes) {
      this.#writes.push(write);
      this.#bytes += write.key.length + (write.value?.length ?? 0);
    }
    return this.#bytes >= MAX_BATCH_BYTES || this.#writes.length >= MAX_BATCH_WRITES;
  }

  /** Writes what was added, in one transaction. `false`: somebody else has written meanwhile, and nothing was. */
  async flush(position: number = this.#head.position): Promise<boolean> {
    const before = this.#head;
    const after: CheckpointHead = { position, writes: before.writes + 1 };
    const writes = this.#writes;
    const done = await this.#broker.state.transact((txn) => {
      const now = new CheckpointReader(txn, this.#stateId).head();
      if (now.writes !== before.writes || now.position !== before.position) return false;
      for (const { key, value } of writes)
        if (value === null) txn.remove(TABLE, key);
        else txn.put(TABLE, key, value);
      txn.put(TABLE, headAddress(this.#stateId), headValue(after));
      return true;
    });
    this.#head = after;
    this.#writes = [];
    this.#bytes = 0;
    return done;
  }
}
