/**
 * Rows in a compacted topic: a small table that all clients of a cluster share, one JSON value for each key.
 *
 * A row is written in a transaction, and read to the end of what is written, transactions of others that are just ending included. Who may write a
 * row is the writer's business: each row has a transactional id that guards it.
 *
 * @module
 */
import { partitionOf } from '../../codec/partition.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Outgoing } from '../broker.ts';
import { FrameBuilder } from '../frame-builder.ts';
import type { Cluster } from './cluster.ts';
import type { Fetcher } from './fetcher.ts';
import { KafkaReader, listOffset } from './reader.ts';
import { createKafkaTopic } from './kafka-topics.ts';

/** How a table is kept. */
export interface RowsOptions {
  readonly topic: string;
  readonly partitions: number;
  /** Copies of each partition; −1: what the brokers have as default. */
  readonly replication: number;
}

/** A transaction that somebody left open ends by itself within its timeout, and a little. */
const READ_MS = 30_000;

interface Part {
  readonly reader: KafkaReader;
  readonly rows: Map<string, unknown>;
  /** Reads run one after the other. */
  tail: Promise<unknown>;
}

/** A table of rows. */
export class Rows<T> {
  readonly #cluster: Cluster;
  readonly #fetcher: Fetcher;
  readonly #options: RowsOptions;
  readonly #parts = new Map<number, Part>();
  #made: Promise<void> | undefined;

  constructor(cluster: Cluster, fetcher: Fetcher, options: RowsOptions) {
    this.#cluster = cluster;
    this.#fetcher = fetcher;
    this.#options = options;
  }

  /** The rows that stand beside that of `key`, as of now. Empty while nobody has written any. */
  async beside(key: string): Promise<ReadonlyMap<string, T>> {
    return await this.#read(this.#partitionOf(key));
  }

  /** The row of a key, as of now. */
  async get(key: string): Promise<T | undefined> {
    return (await this.beside(key)).get(key);
  }

  /** Makes the table if it is not there. To be called before anything is written. */
  async make(): Promise<void> {
    const { topic, partitions, replication } = this.#options;
    this.#made ??= createKafkaTopic(this.#cluster, {
      name: topic,
      partitions,
      replication,
      configs: { 'cleanup.policy': 'compact' },
    });
    try {
      await this.#made;
    } catch (error) {
      this.#made = undefined;
      throw error;
    }
  }

  /** The record that makes `value` the row of `key`. */
  record(key: string, value: T): Outgoing {
    const builder = new FrameBuilder({ text: false, maxRecordBytes: Infinity });
    builder.add(this.#cluster.clock.now(), Buffer.from(key), Buffer.from(JSON.stringify(value)));
    return {
      topic: this.#options.topic,
      partition: this.#partitionOf(key),
      frame: builder.build(),
    };
  }

  #partitionOf(key: string): number {
    return partitionOf(Buffer.from(key), this.#options.partitions);
  }

  async #read(partition: number): Promise<ReadonlyMap<string, T>> {
    const { topic } = this.#options;
    const there = await this.#cluster.topic(topic, this.#parts.size === 0);
    if (there === undefined) return new Map();
    let part = this.#parts.get(partition);
    if (part === undefined) {
      const reader = new KafkaReader(this.#cluster, this.#fetcher, { topic, partition, from: 0 });
      part = { reader, rows: new Map(), tail: Promise.resolve() };
      this.#parts.set(partition, part);
    }
    const { reader, rows } = part;
    const done = part.tail.then(async () => await this.#readOn(reader, rows, partition));
    part.tail = done.catch(() => undefined);
    await done;
    return rows as ReadonlyMap<string, T>;
  }

  async #readOn(reader: KafkaReader, rows: Map<string, unknown>, partition: number): Promise<void> {
    const { topic } = this.#options;
    const end = await listOffset(this.#cluster, topic, partition, 'written');
    await this.#cluster.retry(
      {
        what: `the rows of ${topic} cannot be read to their end`,
        retryForMs: READ_MS,
        waitAtMostMs: 50,
      },
      async () => {
        for (;;) {
          const frame = await reader.next();
          if (frame === undefined) break;
          for (let i = 0; i < frame.count; i++) {
            const key = frame.key(i);
            if (key !== null) apply(rows, Buffer.from(key).toString('utf8'), frame.value(i), topic);
          }
        }
        if (reader.readTo < end)
          throw new this.#cluster.library.NetworkError(`a transaction on ${topic} is still open`);
      },
    );
  }
}

function apply(
  rows: Map<string, unknown>,
  key: string,
  value: Uint8Array | null,
  topic: string,
): void {
  if (value === null) {
    rows.delete(key);
    return;
  }
  try {
    rows.set(key, JSON.parse(Buffer.from(value).toString('utf8')));
  } catch (error) {
    throw new MillraceError(
      'MR_CORRUPT',
      `the row of ${JSON.stringify(key)} in topic ${topic} is not JSON; that topic is for millrace alone`,
      { domain: 'external', cause: error, details: { topic, key } },
    );
  }
}
