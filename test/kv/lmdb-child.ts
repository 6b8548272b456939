/**
 * Another process at a store: does what it is told in messages, and answers each when it is done.
 *
 * Run: `fork('lmdb-child.ts', [directory])`.
 */
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { bytes, textOf } from './support.ts';

/** What it can be told. */
export type Order =
  | { readonly put: string; readonly value: string }
  | { readonly get: string }
  | { readonly increment: string; readonly times: number };

const kv = await openLmdb({ path: process.argv[2] ?? '', tables: KV_TABLES });

async function obey(order: Order): Promise<string> {
  if ('get' in order) return textOf(kv, order.get) ?? 'nothing';
  if ('put' in order) {
    await kv.transact((txn) => txn.put('first', bytes(order.put), bytes(order.value)));
    return 'done';
  }
  for (let time = 0; time < order.times; time++)
    await kv.transact((txn) => {
      const count = Number(textOf(txn, order.increment) ?? 0);
      txn.put('first', bytes(order.increment), bytes(`${count + 1}`));
    });
  return 'done';
}

if (process.send === undefined) {
  // Run without a channel, it puts one entry and ends.
  await obey({ put: process.argv[3] ?? '', value: process.argv[4] ?? '' });
  await kv.close();
} else {
  process.on('message', (order: Order) => {
    void obey(order).then((answer) => process.send?.(answer));
  });
  process.on('disconnect', () => void kv.close());
  process.send('ready');
}
