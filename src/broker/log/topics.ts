/**
 * The directory of topics: name → number and specification. A topic never changes and never goes, so what was read once
 * outside a transaction (committed, that is) is kept.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Kv, KvTransaction } from '../../kv/kv.ts';
import type { TopicSpec } from '../broker.ts';
import { checkPartition, checkTopicSpec } from '../checks.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';

/** A topic and the number that stands for it in keys. */
export interface StoredTopic {
  readonly id: number;
  readonly spec: TopicSpec;
}

const PREFIX = 'topic:';

export class Topics {
  readonly #kv: Kv;
  readonly #known = new Map<string, StoredTopic>();

  constructor(kv: Kv) {
    this.#kv = kv;
  }

  find(name: string): StoredTopic | undefined {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    // No stored name is longer, and a longer key would be the store's error instead of ours.
    if (typeof name !== 'string' || name.length > 249) return undefined;
    const row = this.#kv.get('meta', textKey(PREFIX + name));
    if (row === undefined) return undefined;
    const topic = decodeTopic(row, name);
    this.#known.set(name, topic);
    return topic;
  }

  /** The topic, with `partition` checked. @throws `MR_UNKNOWN_TOPIC`, `MR_ARGUMENT_INVALID`. */
  need(name: string, partition: number): StoredTopic {
    const topic = this.find(name);
    if (topic === undefined)
      throw new MillraceError(
        'MR_UNKNOWN_TOPIC',
        `there is no topic ${JSON.stringify(String(name).slice(0, 260))}; create it first, or check its name`,
        { details: { topic: name } },
      );
    checkPartition(topic.spec, partition);
    return topic;
  }

  all(): TopicSpec[] {
    const specs: TopicSpec[] = [];
    const range = { from: textKey(PREFIX), to: textKey('topic;') };
    for (const { key, value } of this.#kv.range('meta', range)) {
      const name = Buffer.from(key).toString('utf8').slice(PREFIX.length);
      specs.push(decodeTopic(value, name).spec);
    }
    return specs;
  }

  async create(spec: TopicSpec): Promise<void> {
    checkTopicSpec(spec);
    const there = this.find(spec.name);
    if (there !== undefined) {
      checkSame(there.spec, spec);
      return;
    }
    const key = textKey(PREFIX + spec.name);
    await this.#kv.transact((txn) => {
      const row = txn.get('meta', key);
      if (row !== undefined) {
        checkSame(decodeTopic(row, spec.name).spec, spec);
        return;
      }
      const { partitions, codec, role, owner } = spec;
      txn.put('meta', key, encodeRow({ id: nextId(txn, 'topic'), partitions, codec, role, owner }));
    });
  }
}

/** A number that has never been given before for this kind of thing in this store, from 1. */
export function nextId(txn: KvTransaction, kind: 'topic' | 'state'): number {
  const key = textKey('ids');
  const row = txn.get('meta', key);
  const ids =
    row === undefined
      ? { topic: 0, state: 0 }
      : (decodeRow(row, () => 'the row of the last numbers given').head as {
          topic: number;
          state: number;
        });
  ids[kind]++;
  txn.put('meta', key, encodeRow(ids));
  return ids[kind];
}

function decodeTopic(row: Uint8Array, name: string): StoredTopic {
  const { head } = decodeRow(row, () => `the row of topic ${name}`);
  const { id, ...rest } = head as Omit<TopicSpec, 'name'> & { readonly id: number };
  return { id, spec: { name, ...rest } };
}

function checkSame(there: TopicSpec, wanted: TopicSpec): void {
  if (there.owner !== wanted.owner)
    throw new MillraceError(
      'MR_TOPIC_CONFLICT',
      `topic ${wanted.name} belongs to ${ownerOf(there)} and cannot be declared by ${ownerOf(wanted)}; rename the app, or what the topic is named after`,
      { details: { topic: wanted.name, stored: there.owner, declared: wanted.owner } },
    );
  for (const field of ['partitions', 'codec', 'role'] as const)
    if (there[field] !== wanted[field])
      throw new MillraceError(
        'MR_TOPIC_CONFLICT',
        `topic ${wanted.name} is there with ${field} ${JSON.stringify(there[field])} and cannot be declared with ${JSON.stringify(wanted[field])}; declare it as it is, or use another name`,
        { details: { topic: wanted.name, field, stored: there[field], declared: wanted[field] } },
      );
}

function ownerOf({ owner }: TopicSpec): string {
  return owner === undefined ? 'nobody in particular' : `group ${owner}`;
}
