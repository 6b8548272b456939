/**
 * Reading what is there, at once: requests of many readers for partitions of one leader travel together.
 *
 * @module
 */
import type { Cluster } from './cluster.ts';
import { wholeBatch } from './record-batch.ts';
import type { FetchResult } from './requests.ts';

/** What one partition gives at a time. */
const PARTITION_BYTES = 1024 * 1024;
/** The same where the next batch is larger; of the first partition of a request a batch comes whole, whatever its size. */
const LARGE_BYTES = 64 * 1024 * 1024;
const REQUEST_BYTES = 16 * 1024 * 1024;
/** The code of an offset that the partition does not have. */
export const OFFSET_OUT_OF_RANGE = 1;

interface Wanted {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly maxBytes: number;
  readonly resolve: (result: FetchResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Reads of one cluster. */
export class Fetcher {
  readonly #cluster: Cluster;
  #wanted: Wanted[] = [];

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * What stands from `offset` on; nothing at the end. The batch that holds the offset comes whole.
   *
   * @throws `MR_UNKNOWN_TOPIC`, `MR_IO`, `MR_PERMISSION`. The code {@link OFFSET_OUT_OF_RANGE} is in the result.
   */
  async fetch(topic: string, partition: number, offset: number): Promise<FetchResult> {
    let maxBytes = PARTITION_BYTES;
    return await this.#cluster.retry(
      { what: `${topic}[${partition}] cannot be read`, details: { topic, partition, offset } },
      async () => {
        const result = await new Promise<FetchResult>((resolve, reject) => {
          if (this.#wanted.length === 0) queueMicrotask(() => this.#flush());
          this.#wanted.push({ topic, partition, offset, maxBytes, resolve, reject });
        });
        if (result.errorCode !== 0 && result.errorCode !== OFFSET_OUT_OF_RANGE) {
          this.#cluster.forgetTopic(topic);
          throw new this.#cluster.library.ProtocolError(result.errorCode);
        }
        if (result.errorCode === 0 && offset < result.stableEnd && !wholeBatch(result.bytes)) {
          maxBytes = LARGE_BYTES;
          throw new this.#cluster.library.NetworkError('an answer had no room for a batch');
        }
        return result;
      },
    );
  }

  #flush(): void {
    const wanted = this.#wanted;
    this.#wanted = [];
    void this.#route(wanted);
  }

  async #route(wanted: readonly Wanted[]): Promise<void> {
    /** Requests, by leader: of one partition there may be one place in each. */
    const requests = new Map<string, { readonly leader: number; readonly items: Wanted[] }>();
    await Promise.all(
      wanted.map(async (item) => {
        try {
          const leader = await this.#cluster.leader(item.topic, item.partition);
          for (let turn = 0; ; turn++) {
            const key = `${leader} ${turn}`;
            const request = requests.get(key);
            if (request === undefined) requests.set(key, { leader, items: [item] });
            else if (request.items.some((other) => samePlace(other, item))) continue;
            else request.items.push(item);
            break;
          }
        } catch (error) {
          item.reject(error);
        }
      }),
    );
    await Promise.all([...requests.values()].map(async ({ items }) => await this.#ask(items)));
  }

  async #ask(wanted: readonly Wanted[]): Promise<void> {
    const items = wanted.toSorted((a, b) => b.maxBytes - a.maxBytes);
    try {
      const { topic, partition } = items[0] as Wanted;
      const { errorCode, results } = await this.#cluster.attempt(
        { kind: 'leader', topic, partition },
        this.#cluster.requests.fetch,
        [0, REQUEST_BYTES, items],
        'reads',
      );
      if (errorCode !== 0) throw new this.#cluster.library.ProtocolError(errorCode);
      for (const item of items) {
        const result = results.find((one) => samePlace(one, item));
        if (result === undefined)
          item.reject(
            new this.#cluster.library.NetworkError('a partition is missing in an answer'),
          );
        else item.resolve(result);
      }
    } catch (error) {
      for (const item of items) item.reject(error);
    }
  }
}

interface Place {
  readonly topic: string;
  readonly partition: number;
}

function samePlace(a: Place, b: Place): boolean {
  return a.partition === b.partition && a.topic === b.topic;
}
