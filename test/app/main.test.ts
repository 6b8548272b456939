/** An app as a program, as far as it does not end the process; the rest is tested in processes of their own. */
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';

import { bench, close, keyed, logTo, moment, turns } from './support.ts';

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

  test.each([
    [['fly']],
    [['worker', '--fast']],
    [['worker', '--deadline']],
    [['worker', '--deadline', 'soon']],
    [['worker', '--deadline=1s', '2s']],
    [['worker', '--deadline', '1s', '2s']],
    [['topology', 'twice']],
  ])('%j prints the usage and fails', async (argv) => {
    await bench().app.main(argv);
    expect(complained.join('\n')).toMatch(/^usage: worker \[--deadline <duration>\] \| topology/u);
    expect(process.exitCode).toBe(2);
  });

  /** Only to the app: the test runner listens too. */
  const signalApp = (signal: NodeJS.Signals): void => {
    process.listeners(signal).at(-1)?.(signal);
  };

  test.each<[NodeJS.Signals, boolean]>([
    ['SIGTERM', false],
    ['SIGINT', false],
    ['SIGTERM', true],
  ])(
    'a worker runs until %s, tells its logger (one of its own: %s), and leaves no listener behind',
    async (signal, own) => {
      const before = process.listenerCount(signal);
      const logged: string[] = [];
      const info = (_fields: unknown, message: string): void => void logged.push(message);
      const { app } = bench('shop', { logger: own ? { ...logTo([]), info } : undefined });
      const orders = app.topic('orders', keyed<number>());
      const seen: number[] = [];
      orders.stream().sink((n) => {
        seen.push(n);
        signalApp(signal);
      });
      await orders.send(1, { key: 'k' });
      await app.main(['worker']);
      expect(seen).toEqual([1]);
      const told = [
        'shop: worker running',
        `shop: ${signal}, stopping (again to end at once)`,
        'shop: stopped',
      ];
      expect([logged, complained]).toEqual(own ? [told, []] : [[], told]);
      expect(process.listenerCount(signal)).toBe(before);
      await close(app);
    },
  );

  test('a worker that is told to stop has as long as it is given, and the status says that it failed', async () => {
    const { app, clock } = bench('shop', { logger: undefined });
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    const never = moment();
    app.task(async () => {
      signalApp('SIGTERM');
      await never.reached;
    });
    const ended = app.main(['worker', '--deadline', '5s']);
    await turns(clock, 200);
    await clock.advance(4_999);
    await turns(clock);
    expect(exit).not.toHaveBeenCalled();
    await clock.advance(1);
    await ended;
    expect(exit).toHaveBeenCalledWith(1);
    expect(complained.at(-1)).toMatch(
      /^shop: MR_STOP_TIMEOUT: what runs beside the worker did not stop within 5000 ms, waiting for task 1/u,
    );
    never.come();
    await close(app);
  });

  test('a second signal ends the process at once', async () => {
    const { app, clock } = bench('shop', { logger: undefined });
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    const goOn = moment();
    app.task(() => goOn.reached);
    const ended = app.main([]);
    await turns(clock, 200);
    signalApp('SIGTERM');
    expect(exit).not.toHaveBeenCalled();
    signalApp('SIGTERM');
    expect(exit).toHaveBeenCalledWith(1);
    goOn.come();
    await ended;
    await close(app);
  });

  test('a worker that fails logs the error and its cause', async () => {
    const failures: unknown[] = [];
    const logger = {
      ...logTo([]),
      error: (fields: Readonly<Record<string, unknown>>, message: string): void =>
        void failures.push([fields['error'], message]),
    };
    const { app } = bench('shop', { logger });
    const exit = vi.spyOn(process, 'exit').mockImplementation(() => undefined as never);
    app.task(() => Promise.reject(new Error('no such file')));
    await app.main([]);
    expect(exit).toHaveBeenCalledWith(1);
    expect(failures).toEqual([
      [
        expect.objectContaining({ code: 'MR_JOB_FAILED' }),
        expect.stringMatching(
          /^shop: MR_JOB_FAILED: task 1 of app shop failed: no such file.*\n {2}caused by Error: no such file/u,
        ),
      ],
    ]);
    await close(app);
  });

  test('a worker whose thread is stuck is ended with status 70, and the line says where', () => {
    const program = `
      import { App } from './src/index.ts';
      const app = new App('shop', { broker: 'memory:', stuckAfter: '1s' });
      const orders = app.topic('orders', { partitions: 1 });
      orders.stream().sink(() => {
        for (;;);
      });
      await orders.send(1);
      await app.main(['worker']);`;
    const child = spawnSync(
      process.execPath,
      ['-C', 'millrace-source', '--input-type=module-typescript', '-e', program],
      { encoding: 'utf8', timeout: 60_000 },
    );
    expect(child.stderr).toMatch(
      /^millrace: the main thread has been stuck for \d+ ms, last in orders\/0/mu,
    );
    expect(child.status).toBe(70);
  }, 60_000);
});
