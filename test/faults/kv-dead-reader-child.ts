/**
 * Kills itself in the middle of a read, with the snapshot held that it reads from.
 *
 * Run: `kv-dead-reader-child.ts <directory>`.
 */
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';

const kv = await openLmdb({ path: process.argv[2] ?? '', tables: KV_TABLES });
for (const { key } of kv.range('first', {}))
  if (key.length > 0) process.kill(process.pid, 'SIGKILL');
