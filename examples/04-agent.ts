/**
 * An agent: any asynchronous code over the events of a topic, with a table and an output that are committed with them. The log is in a
 * directory, so that the second run goes on where the first one stopped.
 *
 * Run: `node 04-agent.ts`
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { App } from 'millrace';
import { z } from 'zod';

const Payment = z.object({ account: z.string(), amount: z.number().positive() });
const Alert = z.object({ account: z.string(), level: z.enum(['watch', 'block']) });

const directory = mkdtempSync(join(tmpdir(), 'millrace-agent-'));
try {
  await run('first run', [
    { account: 'ann', amount: 400 },
    { account: 'bob', amount: 90 },
  ]);
  await run('second run', [
    { account: 'ann', amount: 700 },
    { account: 'bob', amount: 20 },
    { account: 'ann', amount: 4_000 },
  ]);
} finally {
  rmSync(directory, { recursive: true });
}

async function run(title: string, sent: readonly z.infer<typeof Payment>[]): Promise<void> {
  const app = new App('payments', { broker: `file:${directory}` });
  const payments = app.topic('payments', { value: Payment });
  const alerts = app.topic('alerts', { value: Alert });
  const spent = app.table('spent', { default: () => 0 });

  app.agent(
    'watch',
    payments.stream().groupBy('account'),
    async function* (stream) {
      for await (const { account, amount } of stream) {
        const total = spent.update(account, (sum) => sum + amount);
        if (total > 1_000) yield alerts.of({ account, level: total > 5_000 ? 'block' : 'watch' });
      }
    },
    { sinks: [alerts, ({ account, level }) => console.log(`  ${level} ${account}`)] },
  );

  console.log(title);
  const running = await app.start();
  for (const payment of sent) await payments.send(payment);
  await running.settled();
  for await (const [account, total] of spent.snapshot()) console.log(`  ${account} spent ${total}`);
  await running.stop();
  await app.close();
}
