/**
 * A disk that fails while a group is committed: everyone in the group gets one typed error, nothing of it is seen, and the
 * store goes on, or says that it cannot.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test, type TestContext } from 'vitest';

import { withDirectory } from '../kv/support.ts';
import { preload } from './support/preload.ts';

const program = fileURLToPath(new URL('kv-failing-child.ts', import.meta.url));

/** Runs a scenario of the child; what it printed. */
async function run(context: TestContext, scenario: string): Promise<unknown> {
  return await withDirectory((directory) => {
    const library = preload(context, 'kv-failing-writes.c', directory);
    const faults = join(directory, 'faults');
    mkdirSync(faults);
    const child = spawnSync(process.execPath, [program, join(directory, 'data'), scenario], {
      encoding: 'utf8',
      env: { ...process.env, LD_PRELOAD: library, FAULTS: faults },
    });
    expect([child.signal, child.stdout.trim()], child.stderr).toEqual([
      'SIGKILL',
      expect.stringMatching(/^\[.*\]$/),
    ]);
    return Promise.resolve(JSON.parse(child.stdout) as unknown);
  });
}

describe('a commit fails', () => {
  test('because the disk is full', async (context) => {
    expect(await run(context, 'page')).toEqual([
      ...['MR_DISK_FULL', 1, 'a', 'MR_DISK_FULL', 'a'],
      ...['done', 'ae', 'done', 'done'],
      ...['ae', 'done', 'aef', 'done'],
      0,
    ]);
  });

  test('because the disk does not sync', async (context) => {
    expect(await run(context, 'sync')).toEqual([
      ...['MR_IO', 1, 'a', 'MR_IO', 'a'],
      ...['done', 'ae', 'done', 'done'],
      ...['ae', 'done', 'aef', 'done'],
      0,
    ]);
  });

  test('because the head cannot be written: the store says so until it is opened again', async (context) => {
    expect(await run(context, 'head')).toEqual([
      ...['MR_IO', 1, 'MR_IO', 'MR_IO', 'MR_IO'],
      ...['MR_IO', 'MR_IO', 'done', 'done'],
      ...['a', 'done', 'af', 'done'],
      0,
    ]);
  });
});

describe('lmdb-js still', () => {
  test('leaves a rejection unhandled with batches by turn, so they are off', async (context) => {
    expect(await run(context, 'batches by turn')).toEqual([true]);
  });

  test('never settles what begins after it gave up, so one transaction runs at a time', async (context) => {
    expect(await run(context, 'after giving up')).toEqual([false]);
  });
});
