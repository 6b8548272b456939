/**
 * Produce and Fetch, with batches as bytes: what is in them is encoded and decoded in `record-batch.ts`.
 *
 * The library's own forms of these two make an object of each record, know nothing of several batches, and corrupt timestamps.
 *
 * @module
 */
import type { API, Reader } from '@platformatic/kafka';

import type { KafkaLibrary } from './library.ts';

const PRODUCE = { key: 0, version: 9 } as const;
const FETCH = { key: 1, version: 12 } as const;

/** A batch for a partition. Only one for each partition may be in a request. */
export interface ProduceBatch {
  readonly topic: string;
  readonly partition: number;
  readonly batch: Buffer;
}

/** What became of a batch. */
export interface ProduceResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly baseOffset: number;
  /** −1 unless the topic has log append time. */
  readonly appendedAt: number;
}

/** A partition to read. */
export interface FetchPartition {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
}

/** What was read of a partition. */
export interface FetchResult {
  readonly topic: string;
  readonly partition: number;
  readonly errorCode: number;
  /** End of what may be read: behind it transactions are open. */
  readonly stableEnd: number;
  readonly start: number;
  readonly aborted: readonly AbortedTransaction[];
  readonly bytes: Buffer;
}

/** Records of this producer from this offset to its next marker were aborted. */
export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/** What Fetch answers. */
export interface FetchAnswer {
  readonly errorCode: number;
  readonly results: readonly FetchResult[];
}

type Produce = API<
  [transactionalId: string | null, timeoutMs: number, batches: readonly ProduceBatch[]],
  readonly ProduceResult[]
>;
type Fetch = API<
  [maxWaitMs: number, maxBytes: number, partitions: readonly FetchPartition[]],
  FetchAnswer
>;

/** The two requests. */
export interface Requests {
  /** Waits for all replicas that are in sync. */
  readonly produce: Produce;
  /** Reads what was committed, from any number of partitions of one leader. */
  readonly fetch: Fetch;
}

export function makeRequests(library: KafkaLibrary): Requests {
  return { produce: makeProduce(library), fetch: makeFetch(library) };
}

/** Groups by topic, in the order of first appearance. */
function byTopic<T extends { readonly topic: string }>(items: readonly T[]): [string, T[]][] {
  const topics = new Map<string, T[]>();
  for (const item of items) {
    const there = topics.get(item.topic);
    if (there === undefined) topics.set(item.topic, [item]);
    else there.push(item);
  }
  return [...topics];
}

function makeProduce({ createAPI, Writer }: KafkaLibrary): Produce {
  return createAPI(
    PRODUCE.key,
    PRODUCE.version,
    (transactionalId: string | null, timeoutMs: number, batches: readonly ProduceBatch[]) =>
      Writer.create()
        .appendString(transactionalId)
        .appendInt16(-1)
        .appendInt32(timeoutMs)
        .appendArray(byTopic(batches), (topics, [topic, ofTopic]) => {
          topics.appendString(topic).appendArray(ofTopic, (partitions, { partition, batch }) => {
            partitions
              .appendInt32(partition)
              .appendUnsignedVarInt(batch.length + 1)
              .append(batch);
          });
        })
        .appendTaggedFields(),
    (_id, _key, _version, reader) => {
      const results: ProduceResult[] = [];
      reader.readArray((topics) => {
        const topic = topics.readString();
        topics.readArray((partitions) => {
          const partition = partitions.readInt32();
          const errorCode = partitions.readInt16();
          const baseOffset = Number(partitions.readInt64());
          const appendedAt = Number(partitions.readInt64());
          partitions.readInt64();
          const wrong = partitions.readArray((records) => {
            records.readInt32();
            return records.readNullableString();
          });
          const message = partitions.readNullableString();
          const errorMessage = message ?? wrong.find((text) => text !== null) ?? null;
          results.push({ topic, partition, errorCode, errorMessage, baseOffset, appendedAt });
        });
      });
      return results;
    },
  );
}

function makeFetch({ createAPI, Writer }: KafkaLibrary): Fetch {
  return createAPI(
    FETCH.key,
    FETCH.version,
    (maxWaitMs: number, maxBytes: number, wanted: readonly FetchPartition[]) =>
      Writer.create()
        .appendInt32(-1)
        .appendInt32(maxWaitMs)
        .appendInt32(1)
        .appendInt32(maxBytes)
        // What was committed alone.
        .appendInt8(1)
        // No session.
        .appendInt32(0)
        .appendInt32(-1)
        .appendArray(byTopic(wanted), (topics, [topic, ofTopic]) => {
          topics
            .appendString(topic)
            .appendArray(ofTopic, (partitions, { partition, offset, maxBytes: most }) => {
              partitions
                .appendInt32(partition)
                .appendInt32(-1)
                .appendInt64(BigInt(offset))
                .appendInt32(-1)
                .appendInt64(-1n)
                .appendInt32(most);
            });
        })
        .appendArray([], () => {})
        .appendString('')
        .appendTaggedFields(),
    (_id, _key, _version, reader) => {
      reader.readInt32();
      const errorCode = reader.readInt16();
      reader.readInt32();
      const results: FetchResult[] = [];
      reader.readArray((topics) => {
        const topic = topics.readString();
        topics.readArray((partitions) => {
          results.push(readPartition(partitions, topic));
        });
      });
      return { errorCode, results };
    },
  );
}

function readPartition(reader: Reader, topic: string): FetchResult {
  const partition = reader.readInt32();
  const errorCode = reader.readInt16();
  reader.readInt64();
  const stableEnd = Number(reader.readInt64());
  const start = Number(reader.readInt64());
  const aborted =
    reader.readNullableArray((transactions) => ({
      producerId: transactions.readInt64(),
      firstOffset: Number(transactions.readInt64()),
    })) ?? [];
  reader.readInt32();
  const length = Math.max(0, reader.readUnsignedVarInt() - 1);
  // A copy: frames that live on would hold the whole answer.
  const bytes = Buffer.from(reader.buffer.slice(reader.position, reader.position + length));
  reader.skip(length);
  return { topic, partition, errorCode, stableEnd, start, aborted, bytes };
}
