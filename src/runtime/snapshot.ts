/**
 * Committed rows of tables, read from the broker beside whoever owns them.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { Codec } from '../codec/codec.ts';
import type { KeyRef } from '../core/event.ts';
import { recover } from '../state/recovery.ts';
import type { TaskState } from '../state/task-state.ts';
import type { RowFormat } from '../table/question.ts';
import { changelogTopic } from '../topology/topology.ts';
import { decodeMeta } from './meta.ts';

/** Rows of a keyed table, partition by partition; without those that have expired by the stream time of the last commit. */
export async function* readRows(
  opening: Promise<Broker>,
  group: string,
  table: string,
  { codec, ttlMs }: RowFormat,
): AsyncIterableIterator<readonly [KeyRef, unknown]> {
  for await (const state of statesWith(await opening, group, table))
    yield* state.keyed(table, codec, ttlMs).rows();
}

/** Rows of a windowed table, partition by partition, each from its oldest window on. */
export async function* readWindowRows(
  opening: Promise<Broker>,
  group: string,
  table: string,
  codec: Codec<unknown>,
): AsyncIterableIterator<readonly [start: number, KeyRef, unknown]> {
  for await (const state of statesWith(await opening, group, table)) {
    const store = state.windowed(table, codec);
    for (const start of store.starts(-Infinity, Infinity))
      for (const [ref, value] of store.rows(start)) yield [start, ref, value];
  }
}

/** The states of all tasks that hold rows of a table, one at a time. */
async function* statesWith(
  broker: Broker,
  group: string,
  table: string,
): AsyncIterableIterator<TaskState> {
  const info = await broker.describeGroup(group);
  for (const { id, stateId, meta } of info?.tasks ?? []) {
    const slash = id.lastIndexOf('/');
    const changelog = changelogTopic(group, id.slice(0, slash));
    const { state } = await recover(broker, changelog, Number(id.slice(slash + 1)), stateId);
    if (!state.names().includes(table)) continue;
    const streamTime = decodeMeta(meta, id).time ?? -Infinity;
    state.follow(() => streamTime);
    yield state;
  }
}
