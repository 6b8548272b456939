/** An app as a program, as far as it does not end the process; the rest is tested in processes of their own. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { bench, close, keyed } from './support.ts';

describe('main', () => {
  const printed: string[] = [];
  const complained: string[] = [];
  let exitCode: typeof process.exitCode;

  beforeEach(() => {
    exitCode = process.exitCode;
    printed.length = 0;
    complained.length = 0;
    vi.spyOn(console, 'log').mockImplementation((text: string) => void printed.push(text));
    vi.spyOn(console, 'error').mockImplementation((text: string) => void complained.push(text));
  });

  afterEach(() => {
    vi.restoreAllMocks();
    process.exitCode = exitCode;
  });

  test('topology prints what would run, without a broker', async () => {
    const { app } = bench('shop', { broker: 'file:/nowhere/that/exists' });
    app
      .topic('orders', keyed<number>())
      .stream()
      .sink(() => undefined);
    await app.main(['topology']);
    expect(printed).toEqual(['app shop\n  orders: 4 tasks\n    reads   orders (4 partitions)']);
    expect(process.exitCode).toBe(exitCode);
  });

  test.each([[['fly']], [['worker', '--fast']], [['topology', 'twice']]])(
    '%j prints the usage and fails',
    async (argv) => {
      await bench().app.main(argv);
      expect(complained.join('\n')).toMatch(/^usage: worker \| topology/u);
      expect(process.exitCode).toBe(2);
    },
  );

  test.each<NodeJS.Signals>(['SIGTERM', 'SIGINT'])(
    'a worker runs until %s and leaves no listener behind',
    async (signal) => {
      const before = process.listenerCount(signal);
      const { app } = bench();
      const orders = app.topic('orders', keyed<number>());
      const seen: number[] = [];
      orders.stream().sink((n) => {
        seen.push(n);
        // Only to the app: the test runner listens too.
        process.listeners(signal).at(-1)?.(signal);
      });
      await orders.send(1, { key: 'k' });
      await app.main(['worker']);
      expect(seen).toEqual([1]);
      expect(complained).toEqual([
        'shop: worker running',
        `shop: ${signal}, stopping (again to end at once)`,
        'shop: stopped',
      ]);
      expect(process.listenerCount(signal)).toBe(before);
      await close(app);
    },
  );
});
