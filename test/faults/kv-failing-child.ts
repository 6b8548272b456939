/**
 * A process whose disk fails: works through one scenario and prints what it saw as JSON.
 *
 * Run: `kv-failing-child.ts <directory> <scenario>`, with kv-failing-writes.so preloaded and its directory in `FAULTS`.
 */
import { rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { open as openRaw } from 'lmdb';

import { systemClock } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { bytes, list } from '../kv/support.ts';

const [path = '', scenario = ''] = process.argv.slice(2);
const faults = process.env['FAULTS'] ?? '';
const seen: unknown[] = [];
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);

function fail(kind: string): void {
  writeFileSync(join(faults, kind), '');
}

function heal(kind: string): void {
  rmSync(join(faults, kind));
}

function codeOf(error: unknown): unknown {
  return MillraceError.is(error) ? error.code : error;
}

async function outcome(call: Promise<unknown>): Promise<unknown> {
  return await call.then(() => 'done', codeOf);
}

function reading(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    return codeOf(error);
  }
}

/** The store under a fault: a group of three bodies, one of which throws, then another group, then the fault is mended. */
async function underFault(kind: string): Promise<void> {
  let kv = await openLmdb({ path, tables: KV_TABLES });
  const put = (key: string): Promise<void> =>
    kv.transact((txn) => txn.put('first', bytes(key), Buffer.alloc(10_000, 'x')));
  const keys = (): unknown =>
    reading(() =>
      list(kv)
        .map((entry) => entry.slice(0, 1))
        .join(''),
    );
  await put('a');
  // What lmdb-js tells of a failure later differs from what it tells an opening that has never read.
  keys();
  fail(kind);
  const results = await Promise.allSettled([
    put('b'),
    kv.transact(() => {
      throw new Error('over what a neighbour wrote');
    }),
    put('c'),
  ]);
  const errors = results.map((result) => (result.status === 'rejected' ? result.reason : 'done'));
  seen.push(codeOf(errors[0]), new Set(errors).size, keys(), await outcome(put('d')), keys());
  heal(kind);
  seen.push(await outcome(put('e')), keys(), await outcome(kv.flush()), await outcome(kv.close()));
  kv = await openLmdb({ path, tables: KV_TABLES });
  seen.push(keys(), await outcome(put('f')), keys(), await outcome(kv.close()));
}

/** lmdb-js itself, with its default of batches by turn: is a rejection left that nobody can handle? */
async function batchesByTurn(): Promise<void> {
  const raw = openRaw({ path, overlappingSync: false });
  fail('page');
  await outcome(raw.transaction(() => raw.putSync('a', 1)).catch(() => {}));
  await systemClock().turn();
  seen.push(unhandled > 0);
}

/** lmdb-js itself: is a transaction settled that begins after lmdb has given up? */
async function afterGivingUp(): Promise<void> {
  const raw = openRaw({ path, overlappingSync: false, eventTurnBatching: false });
  fail('head');
  await raw.transaction(() => raw.putSync('a', 1)).catch(() => {});
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  raw.transaction(() => raw.putSync('b', 1)).then(settle, settle);
  await new Promise<void>((resolve) => {
    systemClock().setTimer(500, resolve);
  });
  seen.push(settled);
}

if (scenario === 'batches by turn') await batchesByTurn();
else if (scenario === 'after giving up') await afterGivingUp();
else {
  await underFault(scenario);
  seen.push(unhandled);
}
writeSync(1, JSON.stringify(seen));
// Not every scenario leaves a file that can be closed.
process.kill(process.pid, 'SIGKILL');
