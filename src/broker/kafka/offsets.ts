/**
 * Offsets that a group has committed.
 *
 * @module
 */
import type { Position } from '../broker.ts';
import type { Cluster } from './cluster.ts';

/** Longer than any transaction of ours may be open. */
const STABLE_MS = 30_000;

/** Which offsets to read. */
export interface OffsetsQuery {
  readonly group: string;
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
  /** How long open transactions are waited for. Milliseconds. Default 30,000. */
  readonly waitForMs?: number | undefined;
}

/**
 * The committed offsets of some partitions; those without one are left out. Waits for transactions that are about to change them: what is read
 * otherwise is what a successor must not begin with.
 *
 * @throws `MR_IO` (retryable) when a transaction stays open for too long, `MR_PERMISSION`.
 */
export async function committedOffsets(cluster: Cluster, query: OffsetsQuery): Promise<Position[]> {
  const { group, partitions, waitForMs = STABLE_MS } = query;
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const there = topics.get(topic);
    if (there === undefined) topics.set(topic, [partition]);
    else there.push(partition);
  }
  const answer = await cluster.call(
    { kind: 'coordinator', of: 'group', key: group },
    cluster.library.offsetFetchV8.api,
    [
      [
        {
          groupId: group,
          memberEpoch: -1,
          topics: [...topics].map(([name, partitionIndexes]) => ({ name, partitionIndexes })),
        },
      ],
      true,
    ],
    {
      what: `the offsets of group ${group} cannot be read`,
      details: { group },
      retryForMs: waitForMs,
      waitAtMostMs: 50,
    },
  );
  return (answer.groups[0]?.topics ?? []).flatMap(({ name, partitions: found }) =>
    found
      .filter(({ committedOffset }) => committedOffset >= 0n)
      .map(({ partitionIndex, committedOffset }) => ({
        topic: name,
        partition: partitionIndex,
        offset: Number(committedOffset),
      })),
  );
}
