/**
 * Writes to a store until it is killed, several calls at a time, and says which were acknowledged, one number a line.
 *
 * Each call writes a row, adds one to a counter among 50, and stores its number: all or nothing of it must be there. Every
 * seventh body writes and throws, and must leave nothing.
 *
 * Run: `kv-kill-child.ts <directory>`.
 */
import { writeSync } from 'node:fs';

import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { bytes, textOf } from '../kv/support.ts';

const kv = await openLmdb({ path: process.argv[2] ?? '', tables: KV_TABLES });
writeSync(1, 'ready\n');
for (;;) {
  await Promise.all(
    Array.from({ length: 4 }, async (_, call) => {
      const number = await kv.transact((txn) => {
        const last = Number(textOf(txn, 'last', 'second') ?? 0);
        const next = last + 1;
        const counter = `counter ${next % 50}`;
        const count = Number(textOf(txn, counter, 'second') ?? 0);
        txn.put(
          'first',
          bytes(`${next}`.padStart(9, '0')),
          Buffer.alloc(100 + (next % 7) * 3000, next),
        );
        txn.put('second', bytes(counter), bytes(`${count + 1}`));
        txn.put('second', bytes('last'), bytes(`${next}`));
        return next;
      });
      writeSync(1, `${number}\n`);
      if (call === 0 && number % 7 === 0)
        await kv
          .transact((txn) => {
            txn.put('first', bytes('never'), bytes('1'));
            throw new Error('of the body');
          })
          .catch(() => {});
    }),
  );
}
