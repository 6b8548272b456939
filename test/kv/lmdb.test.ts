import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'vitest';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES, kvConformance } from '../../src/testing/conformance/kv.ts';

kvConformance({
  name: 'lmdb',
  test,
  open: async () => {
    const path = await mkdtemp(join(tmpdir(), 'millrace-kv-'));
    const open = () => openLmdb({ path, tables: KV_TABLES });
    const kv = await open();
    return {
      kv,
      reopen: open,
      dispose: async () => {
        await kv.close();
        await rm(path, { recursive: true });
      },
    };
  },
});
