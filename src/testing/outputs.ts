/**
 * What topics have received since a test looked last.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';

import type { Topic } from '../app/topic.ts';
import { readRecords } from '../app/records.ts';
import type { Broker } from '../broker/broker.ts';
import type { Headers } from '../core/types.ts';

/** A record as a test sees it. */
export interface TestRecord<K, V> {
  readonly key: K;
  readonly value: V;
  /** Event time, milliseconds since 1970. */
  readonly timestamp: number;
  readonly partition: number;
  /** Values that are texts in UTF-8 are strings, others bytes. */
  readonly headers: Headers;
}

/** A step of the test, and where a partition ended after it. */
interface Mark {
  readonly step: number;
  readonly end: number;
}

interface Watched {
  /** By partition: the next record to be handed out. */
  readonly from: number[];
  /** By partition, oldest first. */
  readonly marks: Mark[][];
}

/** Follows the topics of an app. */
export class Outputs {
  readonly #broker: Broker;
  readonly #topics: ReadonlyMap<string, number>;
  readonly #watched = new Map<string, Watched>();
  #step = 0;

  /** `topics`: numbers of partitions, by name. */
  constructor(broker: Broker, topics: ReadonlyMap<string, number>) {
    this.#broker = broker;
    this.#topics = topics;
    for (const [topic, partitions] of topics)
      this.#watched.set(topic, {
        from: Array.from({ length: partitions }, () => 0),
        marks: Array.from({ length: partitions }, () => []),
      });
  }

  /** A step of the test is over: what comes now comes after what is there. */
  async mark(): Promise<void> {
    const step = this.#step++;
    for (const [topic, partitions] of this.#topics) {
      const { from, marks } = this.#watched.get(topic) as Watched;
      for (let partition = 0; partition < partitions; partition++) {
        const { end } = await this.#broker.bounds(topic, partition);
        const own = marks[partition] as Mark[];
        if (end > (own.at(-1)?.end ?? from[partition] ?? 0)) own.push({ step, end });
      }
    }
  }

  /** See `TestApp.output`. */
  async take<K, V>(topic: Topic<K, V, never>): Promise<TestRecord<K, V>[]> {
    const { from, marks } = this.#watched.get(topic.name) as Watched;
    const records: (TestRecord<K, V> & { readonly step: number })[][] = from.map(() => []);
    const next = [...from];
    for await (const event of readRecords<V, K>(this.#broker, topic['~format'], from)) {
      const { key, value, timestamp, partition } = event;
      const headers = withTexts(event.headers);
      const offset = Number(event.offset);
      next[partition] = offset + 1;
      const mark = marks[partition]?.find(({ end }) => offset < end);
      const step = mark?.step ?? Infinity;
      records[partition]?.push({ step, key, value, timestamp, partition, headers });
    }
    next.forEach((end, partition) => {
      from[partition] = end;
      const own = marks[partition] as Mark[];
      own.splice(0, own.filter((mark) => mark.end <= end).length);
    });
    return merge(records);
  }
}

/** Each partition in its order; among them what came in an earlier step first, then what has the earlier event time. */
function merge<R extends { readonly step: number; readonly timestamp: number }>(
  partitions: readonly R[][],
): Omit<R, 'step'>[] {
  const at = partitions.map(() => 0);
  const merged: Omit<R, 'step'>[] = [];
  for (;;) {
    let best: R | undefined;
    let from = -1;
    partitions.forEach((records, partition) => {
      const record = records[at[partition] as number];
      if (record === undefined) return;
      if (
        best === undefined ||
        record.step < best.step ||
        (record.step === best.step && record.timestamp < best.timestamp)
      ) {
        best = record;
        from = partition;
      }
    });
    if (best === undefined) return merged;
    at[from] = (at[from] as number) + 1;
    const { step: _step, ...record } = best;
    merged.push(record);
  }
}

function withTexts(headers: Headers): Headers {
  const entries = Object.entries(headers);
  return Object.fromEntries(entries.map(([name, value]) => [name, asText(value)]));
}

function asText(value: string | Uint8Array): string | Uint8Array {
  return typeof value !== 'string' && isUtf8(value) ? Buffer.from(value).toString() : value;
}
