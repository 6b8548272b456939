import { test } from 'vitest';
import { KV_TABLES, kvConformance } from '../../src/testing/conformance/kv.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';

kvConformance({
  name: 'simulated',
  test,
  open: () => {
    const kv = simulatedKv({ tables: KV_TABLES });
    return Promise.resolve({
      kv,
      reopen: () => Promise.resolve(kv.reopen()),
      dispose: () => kv.close(),
    });
  },
});
