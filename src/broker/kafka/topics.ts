/**
 * The directory of topics. Kafka knows nothing of codecs, roles and owners, so what was declared of a topic is a row beside it, in
 * {@link TOPICS}. One transactional id guards all of these rows: whoever changes one takes it, which ends the attempts of all others, and they
 * try again.
 *
 * @module
 */
import { sleep } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { TopicSpec } from '../broker.ts';
import { checkPartition, checkTopicSpec, isInternalName } from '../checks.ts';
import { checkKeep } from '../keep.ts';
import { declare, declareAgain, unknownTopic } from '../topic-spec.ts';
import type { Cluster } from './cluster.ts';
import type { Fetcher } from './fetcher.ts';
import type { FrameSender } from './frame-sender.ts';
import {
  alterConfigs,
  checkKafkaTopic,
  configsOf,
  createKafkaTopic,
  keepConfigs,
} from './kafka-topics.ts';
import { Rows } from './rows.ts';
import { TransactionalProducer } from './transactions.ts';

/** The topic with what was declared of topics, and the transactional id that guards it. */
const TOPICS = 'millrace.topics';

/** So many others may come between while a topic is declared. */
const ATTEMPTS = 50;
const AGAIN_MS = 40;

type Row = Omit<TopicSpec, 'name'>;

/** What topics need of the broker around them. */
export interface TopicsOptions {
  readonly cluster: Cluster;
  readonly fetcher: Fetcher;
  readonly sender: FrameSender;
  readonly random: Random;
  /** Copies of each partition of new topics; −1: what the brokers have as default. */
  readonly replication: number;
}

/** Declares, describes and finds topics. */
export class KafkaTopics {
  readonly #options: TopicsOptions;
  readonly #rows: Rows<Row>;

  constructor(options: TopicsOptions) {
    const { cluster, fetcher, replication } = options;
    this.#options = options;
    this.#rows = new Rows(cluster, fetcher, { topic: TOPICS, partitions: 1, replication });
  }

  /** @throws `MR_UNKNOWN_TOPIC`, `MR_ARGUMENT_INVALID`. */
  async need(name: string, partition: number): Promise<void> {
    const there = isInternalName(name) ? await this.#options.cluster.topic(name) : undefined;
    if (there === undefined) throw unknownTopic(name);
    checkPartition({ name, partitions: there.leaders.length }, partition);
  }

  /** What was declared of a topic; nothing for one that nobody has declared, or that is gone. */
  async describe(name: string): Promise<TopicSpec | undefined> {
    if (!isInternalName(name)) return undefined;
    const row = await this.#rows.get(name);
    if (row === undefined) return undefined;
    const there = await this.#options.cluster.topic(name, true);
    return there === undefined ? undefined : specOf(name, row);
  }

  /** All that was declared and is there. */
  async all(): Promise<TopicSpec[]> {
    const rows = await this.#rows.beside(TOPICS);
    const names = new Set(await this.#options.cluster.names());
    return [...rows]
      .filter(([name]) => names.has(name))
      .map(([name, row]) => specOf(name, row))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** @throws `MR_TOPIC_CONFLICT` and others of {@link Broker.createTopic}. */
  async create(spec: TopicSpec): Promise<void> {
    checkTopicSpec(spec);
    checkKeep(spec);
    const there = await this.describe(spec.name);
    if (there !== undefined && declareAgain(there, spec) === there) {
      await checkKafkaTopic(this.#options.cluster, there);
      return;
    }
    const { cluster, sender, random } = this.#options;
    await this.#rows.make();
    for (let attempt = 1; ; attempt++) {
      const lock = new TransactionalProducer(cluster, sender, { transactionalId: TOPICS });
      try {
        await lock.open();
        await this.#declare(spec, lock);
        return;
      } catch (error) {
        const fenced = MillraceError.is(error) && error.code === 'MR_FENCED';
        if (!fenced || attempt === ATTEMPTS) throw error;
        await sleep(cluster.clock, random.below(AGAIN_MS * Math.min(attempt, 10)) + 1);
      }
    }
  }

  /** Under the guard of the rows. */
  async #declare(spec: TopicSpec, lock: TransactionalProducer): Promise<void> {
    const { cluster, replication } = this.#options;
    const { name } = spec;
    const row = await this.#rows.get(name);
    const exists = (await cluster.topic(name, true)) !== undefined;
    const stored = row === undefined || !exists ? undefined : specOf(name, row);
    const next = stored === undefined ? declare(spec) : declareAgain(stored, spec);
    if (exists) {
      await checkKafkaTopic(cluster, next);
      if (next.role === 'source' && next.keep !== undefined && next !== stored)
        await alterConfigs(cluster, name, keepConfigs(next.keep));
    } else
      await createKafkaTopic(cluster, {
        name,
        partitions: next.partitions,
        replication,
        configs: configsOf(next),
      });
    if (next === stored) return;
    const { name: _, ...rest } = next;
    const transaction = lock.begin();
    try {
      await transaction.send([this.#rows.record(name, rest)]);
      await transaction.commit();
    } finally {
      await transaction.abort();
    }
  }
}

function specOf(name: string, row: Row): TopicSpec {
  return { name, ...row };
}
