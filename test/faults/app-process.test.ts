/** Workers as processes: two on one directory, told to stop, stuck, and with an agent that throws. */
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { withDirectory } from '../broker/log-over.ts';
import { numbersApp } from './numbers-app.ts';
import type { NumbersApp } from './numbers-app.ts';
import { Program } from './processes.ts';

const cli = new URL('../../src/cli/main.ts', import.meta.url);
const own = new URL('numbers-stop.ts', import.meta.url);
const module = fileURLToPath(new URL('numbers-worker.ts', import.meta.url));
const keyOf = (n: number): string => `k${n % 3}`;
const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

/** Runs `body` with the app, for sending and looking, and a way to start its worker in processes of their own. */
async function withApp(
  body: (
    app: NumbersApp,
    start: (env?: Readonly<Record<string, string>>, file?: URL) => Program,
  ) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const app = numbersApp(directory);
    const programs: Program[] = [];
    try {
      await body(app, (env, file = cli) => {
        const program = new Program(file, file === cli ? ['worker', module] : [], {
          NUMBERS_DIRECTORY: directory,
          ...env,
        });
        programs.push(program);
        return program;
      });
    } finally {
      await Promise.all(programs.map((program) => program.end()));
      await app.app.close();
    }
  });
}

async function send({ numbers }: NumbersApp, values: readonly number[]): Promise<void> {
  await Promise.all(values.map((n) => numbers.send(n, { key: keyOf(n) })));
}

async function doublesOf({ doubles }: NumbersApp): Promise<number[]> {
  const found: number[] = [];
  for await (const { value } of doubles.records()) found.push(value);
  return found.toSorted((a, b) => a - b);
}

/** Each of 1 … `last` was summed and doubled once. */
async function expectExact(app: NumbersApp, last: number): Promise<void> {
  expect(await doublesOf(app)).toEqual(upTo(last).map((n) => n * 2));
  const wanted: Record<string, number> = {};
  for (const n of upTo(last)) wanted[keyOf(n)] = (wanted[keyOf(n)] ?? 0) + n;
  expect(Object.fromEntries(await Array.fromAsync(app.sums.snapshot()))).toEqual(wanted);
}

/** Starts a worker that does what is left, and stops it. */
async function finish(app: NumbersApp): Promise<void> {
  const running = await app.app.start();
  await running.settled();
  await running.stop();
}

test('of two workers on one directory the older one is fenced', async () => {
  await withApp(async (app, start) => {
    const older = start();
    await older.said('worker running');
    await send(app, upTo(100));
    await older.said('did 200');
    const newer = start();
    await newer.said('worker running');
    // Both have read these; the older one may not commit them.
    await send(
      app,
      upTo(300).filter((n) => n > 100),
    );
    expect(await older.status).toBe(1);
    expect(older.stderr).toContain('numbers: MR_FENCED: ');
    await newer.said('did 600');
    newer.kill('SIGTERM');
    expect(await newer.status).toBe(0);
    await finish(app);
    await expectExact(app, 300);
  });
});

test('SIGTERM: what was processed is committed, and the status is 0', async () => {
  await withApp(async (app, start) => {
    const worker = start({ NUMBERS_INTERVAL: '1h' });
    await worker.said('worker running');
    await send(app, upTo(50));
    for (const n of upTo(50)) await worker.said(`did ${n * 2}\n`);
    expect(await doublesOf(app)).toEqual([]);
    worker.kill('SIGTERM');
    expect(await worker.status).toBe(0);
    expect(worker.stderr).toMatch(/numbers: SIGTERM, stopping.*\nnumbers: stopped\n$/u);
    await expectExact(app, 50);
  });
});

test('SIGTERM before anything came', async () => {
  await withApp(async (_app, start) => {
    const worker = start();
    await worker.said('worker running');
    worker.kill('SIGINT');
    expect(await worker.status).toBe(0);
  });
});

test('a second signal ends a stuck worker at once; nothing is lost', async () => {
  await withApp(async (app, start) => {
    await send(app, upTo(50));
    const worker = start({ NUMBERS_TROUBLE: 'stick' });
    await worker.said('stuck');
    worker.kill('SIGTERM');
    await worker.said('SIGTERM, stopping');
    worker.kill('SIGTERM');
    expect(await worker.status).toBe(1);
    await finish(app);
    await expectExact(app, 50);
  });
});

test('a stuck agent does not outlive the deadline of stop', async () => {
  await withApp(async (app, start) => {
    await send(app, upTo(50));
    const program = start({ NUMBERS_TROUBLE: 'stick' }, own);
    await program.said('stuck');
    program.kill('SIGTERM');
    expect(await program.status).toBe(1);
    expect(program.stderr).toMatch(
      /^MR_STOP_TIMEOUT: the worker did not stop within 100 ms, waiting for \S+\/\d; what was not committed will be processed again\n$/u,
    );
    await finish(app);
    await expectExact(app, 50);
  });
});

test('an agent that throws ends the process and names the event; what it did is undone', async () => {
  await withApp(async (app, start) => {
    await send(app, upTo(50));
    for (const attempt of [1, 2]) {
      const worker = start({ NUMBERS_TROUBLE: 'throw' });
      expect(await worker.status, `attempt ${attempt}`).toBe(1);
      expect(worker.stdout).toContain('did 26\n');
      const [, partition, offset] =
        /numbers\[(\d)\] offset (\d+), key "k1"/u.exec(worker.stderr) ?? [];
      expect(worker.stderr).toContain(
        'numbers: MR_PROCESSING_FAILED: processing failed at numbers[',
      );
      expect(worker.stderr).toContain('thirteen is too many');
      const events = app.numbers.records();
      for await (const event of events)
        if (event.value === 13) {
          expect([event.partition, Number(event.offset)]).toEqual([
            Number(partition),
            Number(offset),
          ]);
          expect(event.key).toBe('k1');
        }
      expect(await doublesOf(app)).not.toContain(26);
    }
    await finish(app);
    await expectExact(app, 50);
  });
});
