/** A full disk: typed errors, a store that stays usable, and nothing lost or half there, whatever was overwritten. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open as openRaw } from 'lmdb';
import { beforeEach, expect, test, vi, type TestContext } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { bytes, list, textOf } from '../kv/support.ts';

const MIB = 1 << 20;

// lmdb-js prints the error of every commit that fails.
beforeEach(() => {
  const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
  return () => printed.mockRestore();
});

/** Runs `body` with a file system of 16 MiB. */
async function withSmallDisk(
  context: TestContext,
  body: (path: string) => Promise<void>,
): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), 'millrace-small-'));
  try {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path], { stdio: 'ignore' });
    } catch (error) {
      if (process.env['CI'] === 'true') throw error;
      context.skip('a small file system cannot be mounted here');
    }
    try {
      await body(path);
    } finally {
      execFileSync('umount', ['-l', path]);
    }
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}

const full = { code: 'MR_DISK_FULL', retryable: true, domain: 'external' };

test('commits fail with a typed error while the disk is full, and resume when it is not', async (context) => {
  await withSmallDisk(context, async (disk) => {
    const path = join(disk, 'data');
    const ballast = join(disk, 'ballast');
    writeFileSync(ballast, Buffer.alloc(6 * MIB));
    const kv = await openLmdb({ path, tables: KV_TABLES });
    const put = (number: number): Promise<void> =>
      kv.transact((txn) => {
        txn.put('first', bytes(`${number}`.padStart(4, '0')), Buffer.alloc(100_000, number));
        txn.put('second', bytes('count'), bytes(`${number}`));
      });
    let count = 0;
    let failure: unknown;
    while (failure === undefined && count < 1000)
      await put(count + 1).then(
        () => count++,
        (error: unknown) => {
          failure = error;
        },
      );
    expect(failure).toMatchObject({ ...full, details: { directory: path } });
    expect(count).toBeGreaterThan(50);
    const check = (reader: typeof kv): void => {
      const values = [...reader.range('first', {})].map(({ value }) => value);
      expect(values.map(({ length }) => length)).toEqual(Array.from(values, () => 100_000));
      expect(values.map(([first]) => first)).toEqual(Array.from(values, (_, i) => (i + 1) % 256));
      expect([values.length, textOf(reader, 'count', 'second')]).toEqual([count, `${count}`]);
    };
    check(kv);
    const failed = await Promise.allSettled([1, 2, 3].map(() => put(count + 1)));
    for (const result of failed)
      expect(result.status === 'rejected' && result.reason).toMatchObject(full);
    check(kv);
    rmSync(ballast);
    for (let more = 0; more < 20; more++) {
      await put(count + 1);
      count++;
    }
    check(kv);
    await kv.close();
    const again = await openLmdb({ path, tables: KV_TABLES });
    check(again);
    await again.close();
  });
});

test('a store is not made on a full disk', async (context) => {
  await withSmallDisk(context, async (disk) => {
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(16 * MIB - 100_000));
    const path = join(disk, 'data');
    await expect(openLmdb({ path, tables: KV_TABLES })).rejects.toMatchObject(full);
    rmSync(join(disk, 'ballast'));
    await (await openLmdb({ path, tables: KV_TABLES })).close();
  });
});

test('overwriting and removing at the edge of a full disk agrees with a model', async (context) => {
  const random = seededRandom(Number(process.env['MILLRACE_SEED'] ?? 4));
  await withSmallDisk(context, async (disk) => {
    const path = join(disk, 'data');
    let kv = await openLmdb({ path, tables: KV_TABLES });
    let model = new Map<string, string>();
    let failures = 0;
    for (let round = 0; round < 400; round++) {
      const next = new Map(model);
      const removing = random.below(4) === 0;
      try {
        await kv.transact((txn) => {
          for (let step = 1 + random.below(8); step > 0; step--) {
            const key = `${random.below(100)}`.padStart(2, '0');
            const value = String.fromCharCode(97 + random.below(26)).repeat(random.below(400_000));
            if (removing) {
              txn.remove('first', bytes(key));
              next.delete(key);
            } else {
              txn.put('first', bytes(key), bytes(value));
              next.set(key, value);
            }
          }
        });
        model = next;
      } catch (error) {
        expect(error).toMatchObject(full);
        failures++;
        // lmdb needs pages to free pages: what cannot be removed on a full disk can be when there is space.
        if (removing) model = await removeSome(kv, model);
      }
      if (round % 20 === 0) {
        const expected = [...model].map(([key, value]) => `${key}=${value}`).toSorted();
        expect(list(kv).toSorted()).toEqual(expected);
      }
      if (round % 100 === 99) {
        await kv.close();
        kv = await openLmdb({ path, tables: KV_TABLES });
      }
    }
    expect(failures).toBeGreaterThan(10);
    await kv.close();
  });
});

/** Removes one entry at a time until one is gone. */
async function removeSome(
  kv: Awaited<ReturnType<typeof openLmdb>>,
  model: Map<string, string>,
): Promise<Map<string, string>> {
  const left = new Map(model);
  for (const key of model.keys()) {
    const removed = await kv
      .transact((txn) => txn.remove('first', bytes(key)))
      .then(
        () => true,
        () => false,
      );
    if (!removed) continue;
    left.delete(key);
    break;
  }
  return left;
}

test('lmdb-js still says EIO for a full disk, so the free space is asked', async (context) => {
  await withSmallDisk(context, async (disk) => {
    const raw = openRaw({
      path: join(disk, 'data'),
      overlappingSync: false,
      eventTurnBatching: false,
    });
    const codes = new Set<unknown>();
    for (let number = 0; number < 200; number++)
      await raw
        .transaction(() => raw.putSync(number, Buffer.alloc(123_456)))
        .catch((error: unknown) =>
          (error as { commitError: Promise<void> }).commitError.catch((cause: { code: number }) =>
            codes.add(cause.code),
          ),
        );
    expect([...codes]).toContain(5);
    await raw.close();
  });
});
