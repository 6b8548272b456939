/**
 * The way from a table and a key to a row of the running task, with the checks that keep a key in its one home.
 *
 * @module
 */
import { keyRef } from '../codec/key.ts';
import { partitionOf } from '../codec/partition.ts';
import { CoPartitionError, MillraceError } from '../core/errors.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { Finder, ProcessingCell } from './processing.ts';

/** A cell whose event is not finished. */
export interface LiveCell extends ProcessingCell {
  event: EventCell;
}

/**
 * The cell of the calling code.
 *
 * @throws `MR_TABLE_OUTSIDE` outside event processing, and by code of an event that is finished.
 */
export function liveCell(processing: Finder, table: string): LiveCell {
  const cell = processing.find();
  if (cell === undefined)
    throw new MillraceError(
      'MR_TABLE_OUTSIDE',
      `table ${table} was used outside event processing; use it in an agent or in an operator of a topic's stream, and read it from elsewhere with ${table}.query(key) or ${table}.snapshot()`,
      { details: { table } },
    );
  if (cell.event === null) throw finished(table);
  return cell as LiveCell;
}

/** The error of code that uses a table when its event is finished. */
export function finished(table: string): MillraceError {
  return new MillraceError(
    'MR_TABLE_OUTSIDE',
    `table ${table} was used by code whose event is finished; await everything that uses a table before asking for the next event`,
    { details: { table } },
  );
}

/** The key as a reference; free when it is the event's own. */
export function refOf(key: unknown, event: EventCell): KeyRef {
  return event.key !== null && event.key.key === key ? event.key : keyRef(key);
}

/** The event on its way to whoever is keyed by `ref`: a copy, unless that is its key already. The stored bytes stay behind. */
export function withKey(event: EventCell, ref: KeyRef): EventCell {
  return event.key !== null && event.key.id === ref.id ? event : { ...event, key: ref, raw: null };
}

/**
 * Checks that `ref` lives in the running task: it is the event's key, or hashes to the task's partition.
 *
 * @throws {@link CoPartitionError}
 */
export function checkHome(table: string, ref: KeyRef, cell: LiveCell): void {
  const { event, tables } = cell;
  if (event.key !== null && event.key.id === ref.id) return;
  if (event.key !== null && partitionOf(ref.bytes, tables.partitions) === tables.partition) return;
  const key = JSON.stringify(
    typeof ref.key === 'string' ? ref.key.slice(0, 80) : String(ref.key).slice(0, 80),
  );
  const eventKey =
    event.key === null
      ? 'has no key'
      : `is keyed by ${JSON.stringify(String(event.key.key).slice(0, 80))}`;
  throw new CoPartitionError(
    `table ${table} was used with key ${key} while processing an event of topic ${event.topic} that ${eventKey}: ` +
      `the row of ${key} lives in another task. Key the stream by the table's key first: ${event.topic}.stream().groupBy(…) as the source`,
    { table, topic: event.topic, partition: event.partition, offset: event.offset, key: ref.key },
  );
}

/**
 * Checks that nobody else can be about to write the row of `ref`: events of one key wait for one another, those of others do not.
 *
 * @throws `MR_ARGUMENT_INVALID`
 */
export function checkAlone(table: string, method: string, ref: KeyRef, cell: LiveCell): void {
  if (cell.concurrent !== true || cell.event.key?.id === ref.id) return;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `${method} of table ${table} was called with the key ${JSON.stringify(String(ref.key).slice(0, 80))}, which is not the event's, while several events are under way: ` +
      `what another of them writes in between would be lost; use ${table}.update(key, fn), or leave out the concurrency`,
    { details: { table, key: ref.key } },
  );
}
