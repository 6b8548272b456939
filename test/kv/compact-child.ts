/** A process that compacts a store over and over until it is killed: `compact-child.ts <directory>`. */
import { compactLmdb } from '../../src/kv/lmdb/compact.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';

for (;;) await compactLmdb(process.argv[2] ?? '', KV_TABLES);
