/**
 * Topics of a Kafka cluster and what is in them: the {@link RecordLog} part of the contract.
 *
 * *Order*: that of the calls, for each partition. *Back-pressure*: calls resolve when all replicas that are in sync have what was sent.
 * *State*: connections, places of leaders, ids of producers. *Delivery*: once, as long as the broker object lives; exactly once for producers with an id.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Random } from '../../core/random.ts';
import { isPromise } from '../../core/types.ts';
import type {
  BrokerCapabilities,
  Outgoing,
  PartitionBounds,
  PartitionReader,
  Placed,
  ProducerAppend,
  ProducerState,
  RecordLog,
  TopicSpec,
} from '../broker.ts';
import { checkFrames, checkOffset } from '../checks.ts';
import type { FrameView } from '../frame-view.ts';
import { Appender } from './appender.ts';
import { Cluster } from './cluster.ts';
import { Fetcher } from './fetcher.ts';
import { FrameSender } from './frame-sender.ts';
import { loadKafka } from './library.ts';
import { KafkaProducers } from './producers.ts';
import { KafkaReader, listOffset } from './reader.ts';
import { KafkaTopics } from './topics.ts';
import { parseKafkaUrl } from './url.ts';
import { Waits } from './waits.ts';

/** What opening takes. */
export interface KafkaLogOptions {
  /** See `url.ts`. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /** How long to wait for brokers that do not answer. Milliseconds. Default 30,000. */
  readonly connectForMs?: number | undefined;
}

/**
 * Connects to a cluster.
 *
 * @throws `MR_URL_INVALID`, `MR_DEPENDENCY_MISSING`, `MR_PERMISSION` for a log-in or a certificate that is refused, `MR_IO` (retryable) when nobody
 * answers.
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<RecordLog> {
  const { clock, random, connectForMs } = options;
  const url = parseKafkaUrl(options.url);
  const library = await loadKafka();
  const cluster = await Cluster.open(library, url, { clock, retryForMs: connectForMs });
  return new KafkaLog(cluster, random, url);
}

class KafkaLog implements RecordLog {
  readonly url: string;
  readonly capabilities: BrokerCapabilities = { exactlyOnce: true, durable: true };
  readonly #cluster: Cluster;
  readonly #fetcher: Fetcher;
  readonly #topics: KafkaTopics;
  readonly #appender: Appender;
  readonly #producers: KafkaProducers;
  readonly #waits: Waits;
  /** Calls that write; closing lets them end. */
  readonly #running = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(
    cluster: Cluster,
    random: Random,
    { shown, compression, replication }: ReturnType<typeof parseKafkaUrl>,
  ) {
    this.url = shown;
    this.#cluster = cluster;
    this.#fetcher = new Fetcher(cluster);
    this.#waits = new Waits(cluster, cluster.clock);
    const sender = new FrameSender(cluster, { compression });
    const fetcher = this.#fetcher;
    this.#topics = new KafkaTopics({ cluster, fetcher, sender, random, replication });
    this.#appender = new Appender(cluster, sender);
    this.#producers = new KafkaProducers(cluster, fetcher, sender, replication);
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    this.#cluster.assertOpen();
    await this.#run(this.#topics.create(spec));
  }

  async describeTopic(name: string): Promise<TopicSpec | undefined> {
    this.#cluster.assertOpen();
    return await this.#topics.describe(name);
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.#cluster.assertOpen();
    return await this.#topics.all();
  }

  async bounds(topic: string, partition: number): Promise<PartitionBounds> {
    this.#cluster.assertOpen();
    await this.#topics.need(topic, partition);
    const [start, end] = await Promise.all([
      listOffset(this.#cluster, topic, partition, 'start'),
      listOffset(this.#cluster, topic, partition, 'end'),
    ]);
    return { start, end: Math.max(start, end) };
  }

  async truncate(topic: string, partition: number, before: number): Promise<number> {
    const { start, end } = await this.bounds(topic, partition);
    checkOffset(`the offset to truncate ${topic}[${partition}] below`, before);
    if (before <= start) return start;
    const offset = before >= end ? end : await this.#frameAt(topic, partition, before);
    if (offset <= start) return start;
    const answer = await this.#cluster.call(
      { kind: 'leader', topic, partition },
      this.#cluster.library.deleteRecordsV2.api,
      [
        [{ name: topic, partitions: [{ partitionIndex: partition, offset: BigInt(offset) }] }],
        30_000,
      ],
      { what: `${topic}[${partition}] cannot be truncated`, details: { topic, partition, before } },
    );
    return Number(answer.topics[0]?.partitions[0]?.lowWatermark ?? offset);
  }

  async append(
    frames: readonly Outgoing[],
    producer?: ProducerAppend,
  ): Promise<readonly Placed[] | undefined> {
    this.#cluster.assertOpen();
    const placed = await this.#run(this.#append(frames, producer));
    this.#waits.happened();
    return placed;
  }

  async openProducer(id: string): Promise<ProducerState> {
    this.#cluster.assertOpen();
    return await this.#run(this.#producers.open(id));
  }

  reader(topic: string, partition: number, from: number): PartitionReader {
    this.#cluster.assertOpen();
    const reader = new KafkaReader(this.#cluster, this.#fetcher, { topic, partition, from });
    const check = async (): Promise<void> => await this.#topics.need(topic, partition);
    return new WatchedReader(reader, this.#waits, { topic, partition, check });
  }

  changes(): number {
    this.#cluster.assertOpen();
    return this.#waits.count;
  }

  async changed(since: number, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    this.#cluster.assertOpen();
    await this.#waits.wait(since, timeoutMs, signal);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #append(
    frames: readonly Outgoing[],
    producer: ProducerAppend | undefined,
  ): Promise<readonly Placed[] | undefined> {
    checkFrames(frames);
    for (const { topic, partition } of frames) {
      const leaders = this.#cluster.known(topic)?.leaders;
      if (leaders?.[partition] === undefined) await this.#topics.need(topic, partition);
    }
    return producer === undefined
      ? await this.#appender.append(frames)
      : await this.#producers.append(frames, producer);
  }

  /** Where the frame that holds an offset begins; the offset itself if none does. */
  async #frameAt(topic: string, partition: number, offset: number): Promise<number> {
    const reader = new KafkaReader(this.#cluster, this.#fetcher, {
      topic,
      partition,
      from: offset,
    });
    const frame = await reader.next();
    return Math.min(offset, frame?.baseOffset ?? offset);
  }

  async #close(): Promise<void> {
    this.#waits.close(this.#cluster.closed());
    await Promise.allSettled(this.#running);
    await this.#cluster.close();
  }

  async #run<T>(call: Promise<T>): Promise<T> {
    this.#running.add(call);
    try {
      return await call;
    } finally {
      this.#running.delete(call);
    }
  }
}

interface WatchedPlace {
  readonly topic: string;
  readonly partition: number;
  /** @throws `MR_UNKNOWN_TOPIC`, `MR_ARGUMENT_INVALID`. */
  readonly check: () => Promise<void>;
}

/** Looks whether its partition is there before it reads for the first time, and is watched while it stands at the end. */
class WatchedReader implements PartitionReader {
  readonly #reader: KafkaReader;
  readonly #waits: Waits;
  readonly #place: WatchedPlace;
  #checked = false;

  constructor(reader: KafkaReader, waits: Waits, place: WatchedPlace) {
    this.#reader = reader;
    this.#waits = waits;
    this.#place = place;
  }

  get offset(): number {
    return this.#reader.offset;
  }

  next(): ReturnType<PartitionReader['next']> {
    if (!this.#checked) return this.#first();
    const next = this.#reader.next();
    return isPromise(next) ? this.#look(next) : next;
  }

  seek(offset: number): void {
    this.#reader.seek(offset);
  }

  async #first(): Promise<FrameView | undefined> {
    await this.#place.check();
    this.#checked = true;
    return await this.#look(this.#reader.next());
  }

  async #look(next: ReturnType<PartitionReader['next']>): Promise<FrameView | undefined> {
    const view = await next;
    if (view === undefined) {
      const { topic, partition } = this.#place;
      this.#waits.watch({ reader: this, topic, partition, offset: this.#reader.readTo });
    }
    return view;
  }
}
