/**
 * Producers with an id: who may append under it, and how far it has come. The row changes in the transaction of the append,
 * so a producer that was killed finds out exactly what arrived.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Kv, KvTransaction } from '../../kv/kv.ts';
import type { ProducerAppend, ProducerState } from '../broker.ts';
import { internalName } from '../checks.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';

export async function openProducer(kv: Kv, id: string): Promise<ProducerState> {
  internalName('producer', id);
  return await kv.transact((txn) => {
    const there = readProducer(txn, id);
    const opened = {
      epoch: (there?.epoch ?? 0) + 1,
      sequence: there?.sequence ?? 0,
      position: there?.position,
    };
    writeProducer(txn, id, opened);
    return opened;
  });
}

/**
 * Whether the append is to be done: false when its sequence was already acknowledged. Writes nothing.
 *
 * @throws `MR_FENCED` for an old epoch, `MR_ARGUMENT_INVALID` for an epoch that was never given or a gap in the sequence.
 */
export function admitProducer(txn: KvTransaction, append: ProducerAppend): boolean {
  const { id, epoch, sequence } = append;
  const there = readProducer(txn, id);
  if (there === undefined || epoch > there.epoch)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `producer ${id} was never opened with epoch ${String(epoch)}; call openProducer and use what it returns`,
      { details: { producer: id, epoch } },
    );
  if (epoch !== there.epoch)
    throw new MillraceError(
      'MR_FENCED',
      `producer ${id} has been opened again: this one has epoch ${String(epoch)}, the current epoch is ${there.epoch}; let only one run, or give them different ids`,
      {
        domain: 'external',
        details: { producer: id, epoch, currentEpoch: there.epoch },
      },
    );
  if (sequence > there.sequence + 1)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `producer ${id} appends number ${sequence}, but number ${there.sequence + 1} has not arrived; append in order, and stop at the first append that fails`,
      { details: { producer: id, sequence, acknowledged: there.sequence } },
    );
  return sequence > there.sequence;
}

/** Notes the append as acknowledged. */
export function advanceProducer(txn: KvTransaction, append: ProducerAppend): void {
  writeProducer(txn, append.id, append);
}

function readProducer(txn: KvTransaction, id: string): ProducerState | undefined {
  const row = txn.get('producers', textKey(id));
  return row === undefined ? undefined : decodeProducer(row, id);
}

/** @throws `MR_CORRUPT`. */
export function decodeProducer(row: Uint8Array, id: string): ProducerState {
  const { head, payload } = decodeRow(row, () => `the row of producer ${id}`);
  const { epoch, sequence, position } = head as {
    readonly epoch: number;
    readonly sequence: number;
    readonly position: boolean;
  };
  return { epoch, sequence, position: position ? payload : undefined };
}

function writeProducer(txn: KvTransaction, id: string, state: ProducerState): void {
  const { epoch, sequence, position } = state;
  txn.put(
    'producers',
    textKey(id),
    encodeRow({ epoch, sequence, position: position !== undefined }, position),
  );
}
