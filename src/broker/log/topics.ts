/**
 * The directory of topics: name → number and specification.
 *
 * What records need of a topic (its number, how many partitions) never changes while it is there, so that is kept in memory. Only the
 * internal topics of a forgotten group ever go; a count of the deletions in the store tells when to look again, and the row with the ends
 * of a partition, which is there as long as its topic, guards the moment between the look and the transaction. How long a topic is kept
 * may be changed by any process and is read anew wherever it matters.
 *
 * @module
 */
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import type { TopicSpec } from '../broker.ts';
import { checkPartition, checkTopicSpec } from '../checks.ts';
import { checkKeep } from '../keep.ts';
import { declare, declareAgain, unknownTopic } from '../topic-spec.ts';
import { decodeRow, encodeEnds, encodeRow, partitionKey, textKey, type Ends } from './rows.ts';

/** A topic and the number that stands for it in keys. */
export interface StoredTopic {
  readonly id: number;
  readonly spec: TopicSpec;
}

const PREFIX = 'topic:';
const DELETIONS = textKey('deletions');
const EMPTY: Ends = { start: 0, end: 0, receivedAt: 0, bytes: 0, sparseBelow: 0 };

export class Topics {
  readonly #kv: Kv;
  readonly #known = new Map<string, StoredTopic>();
  #deletions: number;

  constructor(kv: Kv) {
    this.#kv = kv;
    this.#deletions = readDeletions(kv);
  }

  /** Its number and what never changes of it. {@link Topics.describe} gives all. */
  find(name: string): StoredTopic | undefined {
    const deletions = readDeletions(this.#kv);
    if (deletions !== this.#deletions) {
      this.#deletions = deletions;
      this.#known.clear();
    }
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const topic = readTopic(this.#kv, name);
    if (topic !== undefined) this.#known.set(name, topic);
    return topic;
  }

  /** The topic, with `partition` checked. @throws `MR_UNKNOWN_TOPIC`, `MR_ARGUMENT_INVALID`. */
  need(name: string, partition: number): StoredTopic {
    const topic = this.find(name);
    if (topic === undefined) throw unknownTopic(name);
    checkPartition(topic.spec, partition);
    return topic;
  }

  describe(name: string): TopicSpec | undefined {
    return readTopic(this.#kv, name)?.spec;
  }

  all(): TopicSpec[] {
    return readTopics(this.#kv).map(({ spec }) => spec);
  }

  async create(spec: TopicSpec): Promise<void> {
    checkTopicSpec(spec);
    checkKeep(spec);
    const there = readTopic(this.#kv, spec.name);
    if (there !== undefined && declareAgain(there.spec, spec) === there.spec) return;
    await this.#kv.transact((txn) => {
      const stored = readTopic(txn, spec.name);
      if (stored === undefined) {
        createTopic(txn, spec);
        return;
      }
      const merged = declareAgain(stored.spec, spec);
      if (merged !== stored.spec) writeTopic(txn, { id: stored.id, spec: merged });
    });
  }
}

/** The topic as it is stored now. */
export function readTopic(kv: KvReader, name: string): StoredTopic | undefined {
  // No stored name is longer, and a longer key would be the store's error instead of ours.
  if (typeof name !== 'string' || name.length > 249) return undefined;
  const row = kv.get('meta', textKey(PREFIX + name));
  return row === undefined ? undefined : decodeTopic(row, name);
}

/** All topics as they are stored now. */
export function readTopics(kv: KvReader): StoredTopic[] {
  return Array.from(topicRows(kv), ({ name, row }) => decodeTopic(row, name));
}

/** The rows of all topics, not decoded. */
export function* topicRows(
  kv: KvReader,
): Generator<{ readonly name: string; readonly row: Uint8Array }> {
  const range = { from: textKey(PREFIX), to: textKey('topic;') };
  for (const { key, value } of kv.range('meta', range))
    yield { name: Buffer.from(key).toString('utf8').slice(PREFIX.length), row: value };
}

/** Deletes the topic's row and the ends of its partitions: nobody can find its frames any more, which are to be deleted after that. */
export function removeTopic(txn: KvTransaction, topic: StoredTopic): void {
  txn.remove('meta', textKey(PREFIX + topic.spec.name));
  for (let partition = 0; partition < topic.spec.partitions; partition++)
    txn.remove('ends', partitionKey(topic.id, partition));
  txn.put('meta', DELETIONS, encodeRow({ count: readDeletions(txn) + 1 }));
}

/** A number that has never been given before for this kind of thing in this store, from 1. */
export function nextId(txn: KvTransaction, kind: 'topic' | 'state'): number {
  const ids = { ...lastIds(txn) };
  ids[kind]++;
  txn.put('meta', textKey('ids'), encodeRow(ids));
  return ids[kind];
}

/** The last numbers that were given. */
export function lastIds(kv: KvReader): { readonly topic: number; readonly state: number } {
  const row = kv.get('meta', textKey('ids'));
  if (row === undefined) return { topic: 0, state: 0 };
  return decodeRow(row, () => 'the row of the last numbers given').head as {
    topic: number;
    state: number;
  };
}

export function decodeTopic(row: Uint8Array, name: string): StoredTopic {
  const { head } = decodeRow(row, () => `the row of topic ${name}`);
  const { id, ...rest } = head as Omit<TopicSpec, 'name'> & { readonly id: number };
  return { id, spec: { name, ...rest } };
}

function createTopic(txn: KvTransaction, spec: TopicSpec): void {
  const id = nextId(txn, 'topic');
  writeTopic(txn, { id, spec: declare(spec) });
  for (let partition = 0; partition < spec.partitions; partition++)
    txn.put('ends', partitionKey(id, partition), encodeEnds(EMPTY));
}

function writeTopic(txn: KvTransaction, { id, spec }: StoredTopic): void {
  const { name, ...rest } = spec;
  txn.put('meta', textKey(PREFIX + name), encodeRow({ id, ...rest }));
}

function readDeletions(kv: KvReader): number {
  const row = kv.get('meta', DELETIONS);
  if (row === undefined) return 0;
  const { head } = decodeRow(row, () => 'the row that counts deleted topics');
  return (head as { readonly count: number }).count;
}
