/** What runs beside the streams of an app, and functions that wait. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';
import { z } from 'zod';

import { memoryApp, runApp } from './support.ts';

test('7: a task that iterates a topic, beside a stream with processors', async () => {
  const app = memoryApp('example-app');
  const Withdrawal = z.object({
    account: z.string(),
    amount: z.number(),
    language: z.string().optional(),
  });
  const withdrawals = app.topic('withdrawals', { value: Withdrawal });
  const amounts: number[] = [];
  const heard = Promise.withResolvers<void>();
  app.task(async ({ signal }) => {
    for await (const w of withdrawals.stream().iterate({ signal }))
      if (amounts.push(w.amount) === 2) heard.resolve();
  });
  const seen: string[] = [];
  withdrawals
    .stream()
    .processors(
      (w) => ({ ...w, language: w.language ?? 'US' }),
      async (w) => ({ ...w, client: await readFile(w.account, 'utf8') }),
    )
    .sink((w) => seen.push(`${w.language} ${'client' in w}`));
  const account = fileURLToPath(import.meta.url);
  await runApp(
    app,
    async () => {
      await withdrawals.send({ account, amount: 40 }, { partition: 0 });
      await withdrawals.send({ account, amount: 2, language: 'FR' }, { partition: 0 });
      await heard.promise;
    },
    async () => {
      expect(amounts).toEqual([40, 2]);
      expect(seen).toEqual(['US true', 'FR true']);
    },
  );
});
