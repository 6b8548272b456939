/**
 * Verifies a log: every frame and row against its checksum, and all of them against one another. Reads only, in stretches of about 4 MiB, so
 * it may run beside workers; what they change meanwhile is no problem.
 *
 * @module
 */
import { abortError, type Clock } from '../../core/clock.ts';
import type { KvReader } from '../../kv/kv.ts';
import type { StateCheck, VerifyProgress, VerifyReport } from '../verify-report.ts';
import { Findings } from './findings.ts';
import { readFormat } from './format.ts';
import { verifyPartition } from './verify-partition.ts';
import {
  verifyGroups,
  verifyKeys,
  verifyMeta,
  verifyOwners,
  verifyState,
  verifyTopics,
} from './verify-rows.ts';

export interface VerifyOptions {
  /** What the store calls itself, for errors. */
  readonly url: string;
  readonly clock: Clock;
  /** Left out, rows of checkpoints are only checked for belonging to a task. */
  readonly state?: StateCheck | undefined;
  /** Called after each stretch. */
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** @throws `MR_VERSION_UNSUPPORTED` when the rows are of another version, `MR_ABORTED`. Whatever is damaged is in the report. */
export async function verifyLog(kv: KvReader, options: VerifyOptions): Promise<VerifyReport> {
  const { url, clock, state, onProgress, signal } = options;
  const findings = new Findings();
  let place = 'topics';
  const pause = async (): Promise<void> => {
    onProgress?.(findings.progress(place));
    await clock.turn();
    if (signal?.aborted === true) throw abortError(signal);
  };
  if (!readFormat(kv, url, (text) => findings.error('row', 'format', text)))
    return findings.report();

  findings.attempt('row', 'keys', () => verifyKeys(kv, findings));
  const last = verifyMeta(kv, findings);
  const topics = verifyTopics(kv, last, findings);
  findings.attempt('orphan', 'frames', () => verifyOwners(kv, topics, findings));
  findings.attempt('row', 'groups', () => verifyGroups(kv, topics, last, findings, state));
  await pause();
  for (const topic of topics) {
    findings.counts.topics++;
    for (let partition = 0; partition < topic.spec.partitions; partition++) {
      place = `${topic.spec.name}[${partition}]`;
      findings.counts.partitions++;
      await verifyPartition(kv, topic, partition, findings, pause);
    }
  }
  place = 'state';
  await verifyState(kv, findings, state, pause);
  await pause();
  return findings.report();
}
