/**
 * Ends in a transaction whose body was not run yet. Run: `node exit-child.ts <directory> <exit|throw|reject|handled>`.
 */
import { systemClock } from '../../src/core/clock.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';

const [directory = '', how] = process.argv.slice(2);
const [table = ''] = KV_TABLES;
process.on('exit', () => process.stdout.write('before\n'));
const kv = await openLmdb({ path: directory, tables: KV_TABLES });
process.on('exit', () => process.stdout.write('behind\n'));
if (how === 'handled')
  process.on('uncaughtException', () => {
    process.exitCode = 9;
    process.exit();
  });
const clock = systemClock();
await kv.transact((txn) => txn.put(table, Buffer.from('whole'), Buffer.from('yes')));
const lost = kv.transact((txn) => txn.put(table, Buffer.from('lost'), Buffer.from('no')));
lost.catch(() => undefined);
// lmdb-js begins it at the next turn.
await clock.turn();
// The thread gets the lock, and this one does not hear of it.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
if (how === 'exit') process.exit(7);
if (how === 'reject') await Promise.reject(new Error('nobody catches this'));
throw new Error('nobody catches this');
