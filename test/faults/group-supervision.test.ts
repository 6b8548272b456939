/** Workers that are stuck in their own code, and several of them under one parent: none outlives its use, and the tasks go on elsewhere. */
import { expect, test } from 'vitest';

import { STUCK_EXIT_CODE } from '../../src/runtime/watchdog.ts';
import { monotonic } from './crew.ts';
import { expectExact, finish, send, upTo, withApp } from './numbers.ts';
import type { Program } from './processes.ts';

test('a worker that is stuck in a loop ends by itself, and another one does its work', async () => {
  await withApp(async (app, start) => {
    const settings = { NUMBERS_LEASE: '1s', NUMBERS_STUCK_AFTER: '1s' };
    const stuck = start({ ...settings, NUMBERS_TROUBLE: 'spin' });
    await stuck.said('worker running');
    await send(app, upTo(50));
    await stuck.said('stuck');
    const stuckAt = monotonic();
    const other = start(settings);
    await other.said('did 26\n');
    const takenMs = monotonic() - stuckAt;
    expect(await stuck.status).toBe(STUCK_EXIT_CODE);
    const endedMs = monotonic() - stuckAt;
    expect(stuck.stderr).toMatch(
      /millrace: the main thread has been stuck for \d+ ms, last in agent-double\/\d, at .*numbers-app\.ts/u,
    );
    for (const n of upTo(50)) await other.said(`did ${n * 2}\n`);
    other.kill('SIGTERM');
    expect(await other.status).toBe(0);
    await finish(app);
    await expectExact(app, 50);
    process.stdout.write(
      `group-supervision: stuck for ever, ended with ${STUCK_EXIT_CODE} after ${endedMs.toFixed(0)} ms; its event was processed elsewhere after ${takenMs.toFixed(0)} ms (start of a process, lease 1 s)\n`,
    );
  });
});

test('of three processes under one parent one is killed: the others stop, and the parent fails', async () => {
  await withApp(async (app, start) => {
    const parent = start({}, undefined, ['--processes', '3', '--log-format', 'json']);
    const pids = await running(parent, 3);
    let last = 0;
    // Sent while they share the work, and while they stop.
    const more = async (): Promise<void> => {
      const values = upTo(last + 50).filter((n) => n > last);
      last += 50;
      await send(app, values);
    };
    await more();
    for (const n of upTo(50)) await parent.said(`did ${n * 2}\n`);
    process.kill(pids[1] as number, 'SIGKILL');
    await more();
    expect(await parent.status).toBe(128 + 9);
    expect(parent.stderr).toContain('a worker process failed, the others are stopped');
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/u);
    await more();
    await finish(app);
    await expectExact(app, last);
  });
});

test('one of three processes fails: the others stop, and the parent fails as it did', async () => {
  await withApp(async (app, start) => {
    const parent = start({ NUMBERS_TROUBLE: 'throw' }, undefined, [
      '--processes',
      '3',
      '--log-format',
      'json',
    ]);
    const pids = await running(parent, 3);
    await send(app, upTo(50));
    expect(await parent.status).toBe(1);
    expect(parent.stderr).toContain('MR_PROCESSING_FAILED');
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/u);
    await finish(app);
    await expectExact(app, 50);
  });
});

/** The ids of its children when so many of them run. */
async function running(parent: Program, count: number): Promise<number[]> {
  const pids = (): number[] =>
    parent.stderr
      .split('\n')
      .filter((line) => line.includes('worker running'))
      .map((line) => (JSON.parse(line) as { readonly pid: number }).pid);
  await parent.until(`that ${count} workers run`, () => pids().length === count);
  return pids();
}
