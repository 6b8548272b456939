/**
 * How far the compaction of a partition has come, as a row of table `meta`.
 *
 * @module
 */
import type { KvReader, KvTransaction } from '../../kv/kv.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';
import type { StoredTopic } from './topics.ts';

/** What is known of the clean part of a partition: no key has two records below `clean`. */
export interface CompactionState {
  readonly clean: number;
  /** Bytes of the frames below `clean` after the last pass. */
  readonly cleanBytes: number;
  /** When the oldest record without a value below `clean` was received, `null` if there is none. */
  readonly tombstoneAt: number | null;
  /** When the last pass was, `null` before the first. Milliseconds since 1970. */
  readonly passedAt: number | null;
}

const NOTHING: CompactionState = { clean: 0, cleanBytes: 0, tombstoneAt: null, passedAt: null };

export function readCompaction(
  kv: KvReader,
  topic: StoredTopic,
  partition: number,
): CompactionState {
  const row = kv.get('meta', compactionKey(topic.id, partition));
  if (row === undefined) return NOTHING;
  try {
    const what = (): string => `the row with the compaction of ${topic.spec.name}[${partition}]`;
    return decodeRow(row, what).head as CompactionState;
  } catch {
    // All of it can be found again by a pass over the whole partition, which writes a new row. `verify` reports it until then.
    return NOTHING;
  }
}

export function writeCompaction(
  txn: KvTransaction,
  topic: StoredTopic,
  partition: number,
  state: CompactionState,
): void {
  txn.put('meta', compactionKey(topic.id, partition), encodeRow(state));
}

function compactionKey(topicId: number, partition: number): Buffer {
  return textKey(`compacted:${topicId}:${partition}`);
}
