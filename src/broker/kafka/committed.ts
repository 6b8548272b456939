/**
 * Which batches of a partition were committed.
 *
 * With each answer of Fetch comes a list of all aborted transactions that reach into it, wherever they began, with their first offsets. A batch of a
 * transaction was aborted if it lies between the first offset of one on that list and that producer's next marker, or the end of the
 * answer. One producer may be on the list several times.
 *
 * @module
 */
import { CONTROL_BATCH, readMarker, TRANSACTIONAL } from './record-batch.ts';
import type { BatchHeader } from './record-batch.ts';
import type { AbortedTransaction } from './requests.ts';

/** Of the batches of one answer those that hold records for readers. */
export function committedBatches(
  batches: readonly BatchHeader[],
  aborted: readonly AbortedTransaction[],
  place: string,
): BatchHeader[] {
  const ahead = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  /** Producers inside an aborted transaction. */
  const open = new Set<bigint>();
  const kept: BatchHeader[] = [];
  let next = 0;
  for (const batch of batches) {
    for (; next < ahead.length; next++) {
      const transaction = ahead[next] as AbortedTransaction;
      if (transaction.firstOffset > batch.lastOffset) break;
      open.add(transaction.producerId);
    }
    if ((batch.attributes & CONTROL_BATCH) !== 0) {
      if (readMarker(batch, place) === 'abort') open.delete(batch.producerId);
    } else if ((batch.attributes & TRANSACTIONAL) === 0 || !open.has(batch.producerId))
      kept.push(batch);
  }
  return kept;
}
