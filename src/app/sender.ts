/**
 * `topic.send` from outside processing: everything that is sent in one turn of the event loop travels as one append.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import type { TopicFormat } from '../runtime/format.ts';
import { Batch } from './batch.ts';
import type { SendOptions } from './batch.ts';

/** Sends that may wait for their acknowledgement at one time, per topic. */
const MAX_PENDING = 100_000;

/** A batch is sent at this size at the latest. */
const BATCH_BYTES = 1024 * 1024;

/** Where a record was stored. */
export interface RecordMetadata {
  readonly topic: string;
  readonly partition: number;
  /** -1 for a record that was sent from inside processing: it gets its offset with the commit. */
  readonly offset: bigint;
  /** When it was stored, milliseconds since 1970. */
  readonly timestamp: number;
}

interface Waiting {
  readonly partition: number;
  readonly index: number;
  readonly resolve: (metadata: RecordMetadata) => void;
  readonly reject: (error: unknown) => void;
}

/** Sends single records to one topic. */
export class Sender {
  readonly #format: TopicFormat;
  readonly #clock: () => Clock;
  readonly #broker: () => Promise<Broker>;
  readonly #batch: Batch;
  #waiting: Waiting[] = [];
  #pending = 0;
  #scheduled = false;
  readonly #appends = new Set<Promise<void>>();

  constructor(format: TopicFormat, clock: () => Clock, broker: () => Promise<Broker>) {
    this.#format = format;
    this.#clock = clock;
    this.#broker = broker;
    this.#batch = new Batch(format);
  }

  /** Resolves when the record is durable. Records of one caller keep their order. */
  send(value: unknown, key: unknown, options: SendOptions | undefined): Promise<RecordMetadata> {
    if (this.#pending >= MAX_PENDING)
      return Promise.reject(
        new MillraceError(
          'MR_OVERFLOW',
          `${MAX_PENDING} sends to topic ${this.#format.topic} wait for their acknowledgement; await send, or use topic.producer(), which pushes back`,
          {
            retryable: true,
            details: { topic: this.#format.topic },
          },
        ),
      );
    return new Promise((resolve, reject) => {
      const partition = this.#batch.add(value, key, this.#clock(), options);
      this.#waiting.push({ partition, index: this.#batch.countOf(partition) - 1, resolve, reject });
      this.#pending++;
      if (this.#batch.bytes >= BATCH_BYTES) this.#flush();
      else if (!this.#scheduled) {
        this.#scheduled = true;
        void this.#clock()
          .turn()
          .then(() => {
            this.#scheduled = false;
            this.#flush();
          });
      }
    });
  }

  #flush(): void {
    if (this.#batch.count === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    const append = this.#append(waiting).finally(() => this.#appends.delete(append));
    this.#appends.add(append);
  }

  /** Resolves when every record sent so far has been stored or refused. */
  async settled(): Promise<void> {
    this.#flush();
    await Promise.all(this.#appends);
  }

  async #append(waiting: readonly Waiting[]): Promise<void> {
    try {
      // Before anything is awaited: what is sent next belongs to the next append.
      const frames = this.#batch.take();
      const broker = await this.#broker();
      const placed = (await broker.append(frames)) ?? [];
      for (const { partition, index, resolve } of waiting) {
        // The first of several: an append places those of a partition one behind the other.
        const at = placed[frames.findIndex((frame) => frame.partition === partition)];
        resolve({
          topic: this.#format.topic,
          partition,
          offset: BigInt((at?.baseOffset ?? 0) + index),
          timestamp: at?.receivedAt ?? 0,
        });
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    } finally {
      this.#pending -= waiting.length;
    }
  }
}
