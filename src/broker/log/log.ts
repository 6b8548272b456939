/**
 * The embedded log: a broker in one transactional store, for any number of processes of one machine.
 *
 * *Order*: offsets of a partition have no gaps and no reordering; appends and commits take effect in one order, that of the
 * store's transactions. *Back-pressure*: calls resolve when they are durable; calls that wait at the same time share one
 * sync. *State*: a cache of topics, nothing else; all else is in the store. *Delivery*: exactly once for what a task commits.
 *
 * Every change is one `transact` body that checks first and writes then. Knows the {@link Kv} contract only, never lmdb:
 * over the store in memory the same code is the `memory:` broker.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { Kv } from '../../kv/kv.ts';
import type {
  Broker,
  BrokerCapabilities,
  GroupInfo,
  JoinOptions,
  Membership,
  Outgoing,
  PartitionBounds,
  PartitionReader,
  Placed,
  ProducerAppend,
  ProducerState,
  TopicSpec,
} from '../broker.ts';
import { checkProducerAppend } from '../checks.ts';
import { Changes, countChange } from './changes.ts';
import { ensureFormat } from './format.ts';
import { describeGroup, joinGroup } from './membership.ts';
import { appendFrames, readBounds, route, truncate } from './partitions.ts';
import { admitProducer, advanceProducer, openProducer } from './producers.ts';
import { LogReader } from './reader.ts';
import { Topics } from './topics.ts';

export interface LogOptions {
  /** Opened with {@link logTables}. The broker takes it over and closes it, also when opening fails. */
  readonly kv: Kv;
  /** What the broker calls itself, without secrets. */
  readonly url: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether the store outlives the process. Default `true`. */
  readonly durable?: boolean | undefined;
  /** How often to look for appends of other processes while somebody waits for them. Milliseconds. Default 10. */
  readonly pollMs?: number | undefined;
}

/**
 * Opens the log in a store.
 *
 * @throws `MR_VERSION_UNSUPPORTED` for a store that another version wrote, and what the store itself throws.
 */
export async function openLog(options: LogOptions): Promise<Broker> {
  try {
    await ensureFormat(options.kv, options.url);
    return new LogBroker(options);
  } catch (error) {
    await options.kv.close();
    throw error;
  }
}

class LogBroker implements Broker {
  readonly url: string;
  readonly capabilities: BrokerCapabilities;
  readonly state: Kv;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #topics: Topics;
  readonly #changes: Changes;
  readonly #openKv: () => Kv;
  #closing: Promise<void> | undefined;

  constructor(options: LogOptions) {
    const { kv, url, clock, random, durable = true, pollMs = 10 } = options;
    if (!Number.isFinite(pollMs) || pollMs < 1)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `pollMs is ${String(pollMs)}; give milliseconds, from 1`,
      );
    this.url = url;
    this.capabilities = { exactlyOnce: true, durable };
    this.state = kv;
    this.#clock = clock;
    this.#random = random;
    this.#topics = new Topics(kv);
    this.#changes = new Changes(kv, clock, pollMs);
    this.#openKv = () => {
      if (this.#closing !== undefined) throw this.#closed();
      return kv;
    };
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    this.#openKv();
    await this.#topics.create(spec);
  }

  async describeTopic(name: string): Promise<TopicSpec | undefined> {
    this.#openKv();
    return this.#topics.find(name)?.spec;
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.#openKv();
    return this.#topics.all();
  }

  async bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return readBounds(this.#openKv(), this.#topics.need(topic, partition), partition);
  }

  async truncate(topic: string, partition: number, before: number): Promise<number> {
    return await truncate(this.#openKv(), this.#topics.need(topic, partition), partition, before);
  }

  async append(
    frames: readonly Outgoing[],
    producer?: ProducerAppend,
  ): Promise<readonly Placed[] | undefined> {
    const kv = this.#openKv();
    const routed = route(this.#topics, frames);
    if (producer !== undefined) checkProducerAppend(producer);
    else if (routed.length === 0) return [];
    const placed = await kv.transact((txn) => {
      if (producer !== undefined && !admitProducer(txn, producer)) return undefined;
      const appended = appendFrames(txn, routed, this.#clock);
      if (producer !== undefined) advanceProducer(txn, producer);
      countChange(txn);
      return appended;
    });
    this.#changes.notify();
    return placed;
  }

  async openProducer(id: string): Promise<ProducerState> {
    return await openProducer(this.#openKv(), id);
  }

  reader(topic: string, partition: number, from: number): PartitionReader {
    this.#openKv();
    return new LogReader(this.#openKv, this.#topics.need(topic, partition), partition, from);
  }

  async changed(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    this.#openKv();
    await this.#changes.wait(timeoutMs, signal);
  }

  async join(group: string, options: JoinOptions): Promise<Membership> {
    const context = {
      kv: this.#openKv(),
      clock: this.#clock,
      topics: this.#topics,
      assertOpen: () => void this.#openKv(),
      appended: () => this.#changes.notify(),
    };
    return await joinGroup(context, group, options, this.#random.name());
  }

  async describeGroup(group: string): Promise<GroupInfo | undefined> {
    return describeGroup(this.#openKv(), group);
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#changes.close(this.#closed());
      this.#closing = this.state.close();
    }
    return this.#closing;
  }

  #closed(): MillraceError {
    return new MillraceError('MR_CLOSED', `the broker ${this.url} is closed; open it again`);
  }
}
