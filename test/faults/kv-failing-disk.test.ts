/**
 * A disk that fails while a group is committed: everyone in the group gets one typed error, nothing of it is seen, and the
 * store goes on, or says that it cannot.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test, type TestContext } from 'vitest';

import { withDirectory } from '../kv/support.ts';

const source = fileURLToPath(new URL('kv-failing-writes.c', import.meta.url));
const program = fileURLToPath(new URL('kv-failing-child.ts', import.meta.url));

/** Why the disk cannot be made to fail here; undefined if it can. */
let reason: string | undefined;

beforeAll(async () => {
  await withDirectory((directory) => {
    if (process.platform !== 'linux') reason = 'writes are made to fail by LD_PRELOAD';
    else
      try {
        build(directory);
      } catch {
        reason = 'no C compiler';
      }
    return Promise.resolve();
  });
});

function build(directory: string): string {
  const library = join(directory, 'failing.so');
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'], { stdio: 'ignore' });
  return library;
}

/** Runs a scenario of the child; what it printed. */
async function run(context: TestContext, scenario: string): Promise<unknown> {
  if (reason !== undefined) {
    expect(process.env['CI'], reason).not.toBe('true');
    context.skip(reason);
  }
  return await withDirectory((directory) => {
    const faults = join(directory, 'faults');
    mkdirSync(faults);
    const child = spawnSync(process.execPath, [program, join(directory, 'data'), scenario], {
      encoding: 'utf8',
      env: { ...process.env, LD_PRELOAD: build(directory), FAULTS: faults },
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
