/**
 * The embedded log: a broker in one transactional store, for any number of processes of one machine.
 *
 * *Order*: offsets of a partition are given without gaps and reordering (compaction may leave gaps); appends and commits take effect in one order, that of the
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
  MaintainOptions,
  Maintained,
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
import type { Links } from '../groups/links.ts';
import { Changes, countChange } from './changes.ts';
import { ensureFormat } from './format.ts';
import { readGroupNames } from './group-rows.ts';
import { describeGroup, LocalMembers } from './local-members.ts';
import { truncate } from './front.ts';
import { maintain } from './housekeeping.ts';
import { appendFrames, readBounds, readEnds, route } from './partitions.ts';
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
  /**
   * How broker objects of the same store reach each other. Taken over like the store. Left out, they do not: changes of others are found by
   * looking for them, a member that dies is found by the end of its lease, and only members of this broker object can be asked.
   */
  readonly links?: Links | undefined;
  /**
   * How often to look for changes by others while somebody waits for them. Milliseconds. Default: 50, and 10 while others cannot reach this
   * broker object to tell it.
   */
  readonly pollMs?: number | undefined;
}

/** How often changes are looked for when others tell of them, and when they do not. */
const POLL_MS = 50;
const POLL_ALONE_MS = 10;

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
    await options.links?.close();
    await options.kv.close();
    throw error;
  }
}

class LogBroker implements Broker {
  readonly url: string;
  readonly capabilities: BrokerCapabilities;
  readonly state: Kv;
  readonly #clock: Clock;
  readonly #topics: Topics;
  readonly #changes: Changes;
  readonly #members: LocalMembers;
  readonly #openKv: () => Kv;
  #closing: Promise<void> | undefined;

  constructor(options: LogOptions) {
    const { kv, url, clock, random, links, durable = true, pollMs } = options;
    if (pollMs !== undefined && (!Number.isFinite(pollMs) || pollMs < 1))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `pollMs is ${String(pollMs)}; give milliseconds, from 1`,
      );
    this.url = url;
    this.capabilities = { exactlyOnce: true, durable };
    this.state = kv;
    this.#clock = clock;
    this.#topics = new Topics(kv);
    const members = new LocalMembers({
      kv,
      clock,
      random,
      topics: this.#topics,
      links,
      changes: () => this.#changes,
      assertOpen: () => void this.#openKv(),
    });
    this.#members = members;
    this.#changes = new Changes({
      kv,
      clock,
      pollMs: () => pollMs ?? (members.neighbours.heard ? POLL_MS : POLL_ALONE_MS),
      onPoll: () => members.look(),
    });
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
    return this.#topics.describe(name);
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.#openKv();
    return this.#topics.all();
  }

  async bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return readBounds(this.#openKv(), this.#topics.need(topic, partition), partition);
  }

  async storedBytes(topic: string, partition: number): Promise<number> {
    const kv = this.#openKv();
    return readEnds(kv, this.#topics.need(topic, partition), partition).bytes;
  }

  async truncate(topic: string, partition: number, before: number): Promise<number> {
    return await truncate(this.#openKv(), this.#topics.need(topic, partition), partition, before);
  }

  async maintain(options: MaintainOptions = {}): Promise<Maintained> {
    return await maintain({ kv: this.#openKv(), clock: this.#clock }, options);
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
    this.#members.appended();
    return placed;
  }

  async openProducer(id: string): Promise<ProducerState> {
    return await openProducer(this.#openKv(), id);
  }

  reader(topic: string, partition: number, from: number): PartitionReader {
    this.#openKv();
    return new LogReader(this.#openKv, this.#topics.need(topic, partition), partition, from);
  }

  changes(): number {
    this.#openKv();
    return this.#changes.count();
  }

  async changed(since: number, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    this.#openKv();
    const changed = this.#changes.wait(since, timeoutMs, signal);
    if (this.#changes.waiting) this.#members.neighbours.waiting();
    await changed;
  }

  async join(group: string, options: JoinOptions): Promise<Membership> {
    this.#openKv();
    return await this.#members.join(group, options);
  }

  async describeGroup(group: string): Promise<GroupInfo | undefined> {
    return describeGroup(this.#openKv(), group);
  }

  async groups(): Promise<readonly string[]> {
    return readGroupNames(this.#openKv());
  }

  async ask(
    group: string,
    task: string,
    question: Uint8Array,
    options?: Parameters<Broker['ask']>[3],
  ): Promise<Uint8Array> {
    this.#openKv();
    return await this.#members.ask(group, task, question, options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#changes.close(this.#closed());
    await this.#members.neighbours.close();
    await this.state.close();
  }

  #closed(): MillraceError {
    return new MillraceError('MR_CLOSED', `the broker ${this.url} is closed; open it again`);
  }
}
