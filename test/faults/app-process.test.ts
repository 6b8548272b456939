/** Workers as processes: two on one directory, told to stop, stuck, and with an agent that throws. */
import { expect, test } from 'vitest';

import { doublesOf, expectExact, finish, own, send, upTo, withApp } from './numbers.ts';

test('two workers on one directory share the tasks, and one of them has all when the other leaves', async () => {
  await withApp(async (app, start) => {
    const older = start();
    await older.said('worker running');
    await send(app, upTo(100));
    for (const n of upTo(100)) await older.said(`did ${n * 2}\n`);
    const newer = start();
    await newer.said('worker running');
    // Its share is free when the older one has committed what it had of it.
    let last = 100;
    while (!newer.stdout.includes('did ')) {
      await send(
        app,
        upTo(last + 20).filter((n) => n > last),
      );
      last += 20;
    }
    const before = older.stdout;
    while (older.stdout === before) await send(app, [++last]);
    older.kill('SIGTERM');
    expect(await older.status).toBe(0);
    await send(
      app,
      upTo(last + 100).filter((n) => n > last),
    );
    last += 100;
    for (const n of upTo(last).slice(-100)) await newer.said(`did ${n * 2}\n`);
    newer.kill('SIGTERM');
    expect(await newer.status).toBe(0);
    for (const worker of [older, newer]) expect(worker.stderr).not.toMatch(/MR_/u);
    await finish(app);
    await expectExact(app, last);
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
    expect(worker.stderr).toMatch(/numbers: SIGTERM, stopping.*\n.* numbers: stopped .*\n$/u);
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
        /numbers\[(\d)\] offset (\d+), key "k6"/u.exec(worker.stderr) ?? [];
      expect(worker.stderr).toContain(
        'millrace: MR_PROCESSING_FAILED: processing failed at numbers[',
      );
      expect(worker.stderr).toContain('thirteen is too many');
      const events = app.numbers.records();
      for await (const event of events)
        if (event.value === 13) {
          expect([event.partition, Number(event.offset)]).toEqual([
            Number(partition),
            Number(offset),
          ]);
          expect(event.key).toBe('k6');
        }
      expect(await doublesOf(app)).not.toContain(26);
    }
    await finish(app);
    await expectExact(app, 50);
  });
});
