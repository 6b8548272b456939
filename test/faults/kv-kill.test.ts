/** Writers that are killed: no acknowledged call is lost, none is there in part, and another writer is not held up. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { list, textOf, withDirectory } from '../kv/support.ts';

const ROUNDS = 20;
const program = fileURLToPath(new URL('kv-kill-child.ts', import.meta.url));

function start(path: string): { child: ChildProcess; lines: Interface } {
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  return { child, lines: createInterface({ input: child.stdout }) };
}

/** Lets a writer acknowledge `calls` calls, kills it, and returns the last number that it acknowledged. */
async function killAfter(path: string, calls: number): Promise<number> {
  const { child, lines } = start(path);
  const closed = once(lines, 'close');
  let acknowledged = 0;
  let seen = 0;
  lines.on('line', (line) => {
    if (line === 'ready') return;
    acknowledged = Math.max(acknowledged, Number(line));
    if (++seen === calls) child.kill('SIGKILL');
  });
  await closed;
  return acknowledged;
}

/** Checks that what is there is there whole, and returns the number of calls. */
function check(kv: Kv): number {
  const last = Number(textOf(kv, 'last', 'second') ?? 0);
  const rows = [...kv.range('first', {})];
  expect(rows.map(({ key }) => Number(Buffer.from(key).toString()))).toEqual(
    Array.from({ length: last }, (_, i) => i + 1),
  );
  for (const [i, { value }] of rows.entries())
    expect([value.length, value[0]]).toEqual([100 + ((i + 1) % 7) * 3000, (i + 1) % 256]);
  const counters = list(kv, {}, 'second').filter((entry) => entry.startsWith('counter'));
  const sum = counters.reduce((total, entry) => total + Number(entry.split('=')[1]), 0);
  expect(sum).toBe(last);
  return last;
}

test(`${ROUNDS} kills of the only writer`, async () => {
  const random = seededRandom(Number(process.env['MILLRACE_SEED'] ?? 1));
  await withDirectory(async (path) => {
    let before = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const acknowledged = await killAfter(path, 1 + random.below(60));
      const kv = await openLmdb({ path, tables: KV_TABLES });
      const last = check(kv);
      expect(last).toBeGreaterThanOrEqual(acknowledged);
      expect(acknowledged).toBeGreaterThan(before);
      before = last;
      await kv.close();
    }
  });
});

test('kills of one writer while another goes on', async () => {
  await withDirectory(async (path) => {
    const survivor = start(path);
    let acknowledged = 0;
    survivor.lines.on('line', (line) => {
      if (line !== 'ready') acknowledged = Math.max(acknowledged, Number(line));
    });
    await once(survivor.lines, 'line');
    for (let round = 0; round < 5; round++) {
      const theirs = await killAfter(path, 10);
      // Its next calls come after those of the dead: the lock was taken over.
      while (acknowledged <= theirs) await once(survivor.lines, 'line');
    }
    const closed = once(survivor.lines, 'close');
    survivor.child.kill('SIGKILL');
    await closed;
    const kv = await openLmdb({ path, tables: KV_TABLES });
    expect(check(kv)).toBeGreaterThanOrEqual(acknowledged);
    await kv.close();
  });
});
