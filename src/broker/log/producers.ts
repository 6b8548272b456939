/**
 * Producers with an id: who may append under it, and how far it has come. The row changes in the transaction of the append,
 * so a producer that was killed finds out exactly what arrived.
 *
 * @module
 */
import type { Kv, KvTransaction } from '../../kv/kv.ts';
import type { ProducerAppend, ProducerState } from '../broker.ts';
import { internalName } from '../checks.ts';
import { admit, openedAgain } from '../producer-state.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';

export async function openProducer(kv: Kv, id: string): Promise<ProducerState> {
  internalName('producer', id);
  return await kv.transact((txn) => {
    const opened = openedAgain(readProducer(txn, id));
    writeProducer(txn, id, opened);
    return opened;
  });
}

/** Whether the append is to be done; see {@link admit}. Writes nothing. */
export function admitProducer(txn: KvTransaction, append: ProducerAppend): boolean {
  return admit(readProducer(txn, append.id), append);
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
