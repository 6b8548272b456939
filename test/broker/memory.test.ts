/** `memory:`, the log over a store in memory. */
import { expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { SharedStores } from '../../src/broker/shared-stores.ts';
import { brokerConformance } from '../../src/testing/conformance/broker.ts';
import { frameOf, inMemory, realContext, textsOf } from './log-over.ts';

brokerConformance({ name: 'memory', test, open: inMemory });

for (const seed of [1, 2, 3, 4, 5])
  brokerConformance({
    name: `memory, seed ${seed}`,
    // Only the random run.
    test: (name, run) => (name.includes('model') ? test(name, run) : undefined),
    open: inMemory,
    seed,
  });

test('it does not claim to be durable', async () => {
  const broker = await openBroker('memory:', realContext());
  expect(broker.capabilities).toEqual({ exactlyOnce: true, durable: false });
  await broker.close();
});

test('brokers of one name share their content while one of them is open', async () => {
  const context = { ...realContext(), memory: new SharedStores() };
  const spec = { name: 't', partitions: 1, codec: 'utf8', role: 'source' } as const;
  const first = await openBroker('memory:shared', context);
  await first.createTopic(spec);
  await first.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
  const second = await openBroker('memory:shared', context);
  const elsewhere = await openBroker('memory:other', context);
  const alone = await openBroker('memory:shared', realContext());
  expect(await elsewhere.topics()).toEqual([]);
  expect(await alone.topics()).toEqual([]);
  await first.close();
  await first.close();
  await expect(first.topics()).rejects.toMatchObject({ code: 'MR_CLOSED' });
  await expect(first.state.transact(() => 1)).rejects.toMatchObject({ code: 'MR_CLOSED' });
  expect(() => first.state.get('state', Uint8Array.of(1))).toThrow('closed');
  expect(await textsOf(second, 't')).toEqual(['a']);
  await second.close();
  const fresh = await openBroker('memory:shared', context);
  expect(await fresh.topics()).toEqual([]);
  for (const broker of [elsewhere, alone, fresh]) await broker.close();
});
