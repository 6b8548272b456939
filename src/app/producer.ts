/**
 * Producers with an id: loaders that continue where they stopped.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { Clock, Timer } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { checkOptions } from '../core/given.ts';
import type { Known } from '../core/given.ts';
import { validName } from '../core/names.ts';
import type { TopicFormat } from '../runtime/format.ts';
import { Batch } from './batch.ts';
import type { SendOptions } from './batch.ts';

/** How a producer batches. */
export interface ProducerOptions {
  /** Its durable name, unique on the broker. Opening it again fences whoever used it before. */
  readonly id: string;
  /** Records that travel as one append, 1 to 100,000. Default 1,000. */
  readonly batch?: number | undefined;
  /** How long a record waits for others at most. Default 5 ms. */
  readonly linger?: Duration | undefined;
  /** Appends that may be under way at one time, 1 to 64. Default 16. */
  readonly maxInFlight?: number | undefined;
}

const PRODUCER_OPTIONS: Known<ProducerOptions> = {
  id: true,
  batch: true,
  linger: true,
  maxInFlight: true,
};

/** Options of a producer, as far as they can be told from one another. @throws `MR_OPTION_INVALID`, `MR_NAME_INVALID` */
export function checkProducer(topic: string, options: ProducerOptions | undefined): void {
  checkOptions(`a producer of topic ${topic}`, options, PRODUCER_OPTIONS);
  if (options?.id !== undefined) {
    validName('producer', options.id);
    return;
  }
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `a producer of topic ${topic} was asked for without an id, by which it finds its position again; give producer({ id: 'loader' }), or use send`,
    { details: { topic } },
  );
}

/** How a record is sent by a producer with an id. */
export interface ProducerSendOptions<K, P> extends SendOptions {
  readonly key?: K | undefined;
  /** Where the source stands after this record: plain JSON data, saved with it. */
  readonly position?: P | undefined;
}

const MAX_POSITION_BYTES = 65_536;

/** How many times `maxInFlight` appends may be under way when nobody waits for the promises of `send`. */
const IGNORED = 16;

/**
 * Sends records in batches and remembers, in the same append, how far its source was read. Opened again after a crash it tells
 * that position: what was acknowledged before is not sent twice, and nothing is left out.
 *
 * - *Order*: that of the calls, per partition.
 * - *Back-pressure*: {@link TopicProducer.send} returns a promise while `maxInFlight` appends are under way.
 * - *State*: epoch, sequence and position, on the broker.
 * - *Delivery*: exactly once, as long as the caller continues at {@link TopicProducer.position}.
 */
export class TopicProducer<K, In, P = unknown> {
  readonly id: string;
  /** The position saved with the last acknowledged append, at opening; `undefined` for a new id. */
  readonly position: P | undefined;
  readonly #clock: Clock;
  readonly #broker: Broker;
  readonly #epoch: number;
  readonly #batch: Batch;
  readonly #batchRecords: number;
  readonly #lingerMs: number;
  readonly #maxInFlight: number;
  #sequence: number;
  #next: P | undefined;
  #inFlight = 0;
  #acknowledged = 0;
  #failure: unknown;
  #closed = false;
  #linger: Timer | undefined;
  #waiters: (() => void)[] = [];

  private constructor(options: ProducerOptions, opened: Opened) {
    this.id = options.id;
    this.#clock = opened.clock;
    this.#broker = opened.broker;
    this.#epoch = opened.epoch;
    this.#sequence = opened.sequence;
    this.position = opened.position as P | undefined;
    this.#next = this.position;
    this.#batch = new Batch(opened.format);
    this.#batchRecords = opened.batching.records;
    this.#lingerMs = opened.batching.lingerMs;
    this.#maxInFlight = opened.batching.maxInFlight;
  }

  /** @internal Use `topic.producer`. */
  static async open<K, In, P>(
    options: ProducerOptions,
    format: TopicFormat,
    clock: Clock,
    broker: Broker,
  ): Promise<TopicProducer<K, In, P>> {
    // Opening fences whoever used the id before, so the options come first.
    const batching = batchingOf(options);
    const { epoch, sequence, position } = await broker.openProducer(options.id);
    const decoded: unknown =
      position === undefined ? undefined : JSON.parse(Buffer.from(position).toString());
    return new TopicProducer<K, In, P>(options, {
      batching,
      format,
      clock,
      broker,
      epoch,
      sequence,
      position: decoded,
    });
  }

  /** Records acknowledged since the producer was opened. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /**
   * Takes a record. Returns nothing, or a promise when the caller should wait: once per batch, for the broker to get its turn, and while
   * `maxInFlight` appends are under way.
   *
   * @throws as `topic.send`, and what made an earlier append fail: then the producer is of no more use, and a new one with the same id
   * tells how far it came. `MR_CLOSED` after {@link TopicProducer.close}. `MR_OVERFLOW` (retryable) when its promises are not awaited and
   * far more than `maxInFlight` appends are under way.
   */
  send(value: In, options?: ProducerSendOptions<K, P>): void | Promise<void> {
    this.#check();
    if (this.#inFlight >= this.#maxInFlight * IGNORED)
      throw new MillraceError(
        'MR_OVERFLOW',
        `producer ${this.id} has ${this.#inFlight} appends under way, ${IGNORED} times maxInFlight; await the promise that send returns`,
        { retryable: true, details: { producer: this.id } },
      );
    this.#batch.add(value, options?.key, this.#clock, options);
    if (options?.position !== undefined) this.#next = options.position;
    if (this.#batch.count >= this.#batchRecords) {
      this.#dispatch();
      // Without a turn of the event loop a caller in a tight loop would keep the broker from getting at the batch.
      return this.#inFlight >= this.#maxInFlight ? this.#room() : this.#clock.turn();
    }
    if (this.#linger === undefined)
      this.#linger = this.#clock.setTimer(this.#lingerMs, () => this.#dispatch(), { unref: true });
    return this.#inFlight >= this.#maxInFlight ? this.#room() : undefined;
  }

  /** Resolves when everything sent so far is durable. @throws what made an append fail. */
  async flush(): Promise<void> {
    this.#dispatch();
    while (this.#inFlight > 0) await this.#wait();
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Flushes, then takes no more records. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    await this.flush();
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new MillraceError('MR_CLOSED', `producer ${this.id} is closed`);
  }

  #dispatch(): void {
    this.#linger?.cancel();
    this.#linger = undefined;
    const count = this.#batch.count;
    if (count === 0 || this.#failure !== undefined) return;
    this.#inFlight++;
    void this.#append(count);
  }

  async #append(count: number): Promise<void> {
    try {
      const position =
        this.#next === undefined ? undefined : Buffer.from(JSON.stringify(this.#next));
      if (position !== undefined && position.length > MAX_POSITION_BYTES)
        throw new MillraceError(
          'MR_ARGUMENT_INVALID',
          `a position of ${position.length} bytes exceeds the limit of ${MAX_POSITION_BYTES}`,
        );
      this.#sequence++;
      await this.#broker.append(this.#batch.take(), {
        id: this.id,
        epoch: this.#epoch,
        sequence: this.#sequence,
        position,
      });
      this.#acknowledged += count;
    } catch (error) {
      this.#failure ??= error;
    } finally {
      this.#inFlight--;
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const wake of waiters) wake();
    }
  }

  async #room(): Promise<void> {
    while (this.#inFlight >= this.#maxInFlight) await this.#wait();
    if (this.#failure !== undefined) throw this.#failure;
  }

  #wait(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }
}

interface Batching {
  readonly records: number;
  readonly lingerMs: number;
  readonly maxInFlight: number;
}

interface Opened {
  readonly batching: Batching;
  readonly format: TopicFormat;
  readonly clock: Clock;
  readonly broker: Broker;
  readonly epoch: number;
  readonly sequence: number;
  readonly position: unknown;
}

/** @throws `MR_OPTION_INVALID` */
function batchingOf(options: ProducerOptions): Batching {
  return {
    records: whole(options.batch ?? 1_000, 'batch', 100_000),
    lingerMs: durationMs(options.linger ?? 5, 'linger'),
    maxInFlight: whole(options.maxInFlight ?? 16, 'maxInFlight', 64),
  };
}

function whole(value: number, name: string, most: number): number {
  if (!Number.isInteger(value) || value < 1 || value > most)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${String(value)}; give a whole number from 1 to ${most}`,
    );
  return value;
}
