/** Wrappers with nothing planned are the store and the broker that they were given. */
import { test } from 'vitest';

import { SharedStores } from '../../src/broker/shared-stores.ts';
import { openBroker } from '../../src/broker/open.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import {
  brokerConformance,
  faultyBroker,
  faultyKv,
  KV_TABLES,
  kvConformance,
} from '../../src/testing/index.ts';

kvConformance({
  name: 'faulty kv without faults',
  test,
  open: () => {
    const first = simulatedKv({ tables: KV_TABLES });
    const wrap = (kv: typeof first) => faultyKv(kv, () => undefined);
    const kvs = [wrap(first)];
    return Promise.resolve({
      kv: kvs[0] as ReturnType<typeof wrap>,
      reopen: () => {
        const kv = wrap(first.reopen());
        kvs.push(kv);
        return Promise.resolve(kv);
      },
      dispose: async () => {
        for (const kv of kvs) await kv.close();
      },
    });
  },
});

brokerConformance({
  name: 'faulty broker without faults',
  test,
  open: async (context) => {
    const memory = new SharedStores();
    const opened: Broker[] = [];
    const reopen = async (): Promise<Broker> => {
      const broker = await openBroker('memory:test', { ...context, memory });
      opened.push(faultyBroker(broker, () => undefined, { clock: context.clock }));
      return opened.at(-1) as Broker;
    };
    return {
      broker: await reopen(),
      reopen,
      dispose: async () => {
        for (const broker of opened) await broker.close();
      },
    };
  },
});
