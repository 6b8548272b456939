/** Copies of an lmdb store, and its file made smaller: who is kept out meanwhile, and what a crash leaves. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

import type { Kv } from '../../src/kv/kv.ts';
import { compactLmdb } from '../../src/kv/lmdb/compact.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import { systemClock } from '../../src/core/clock.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { bytes, list, textOf, withDirectory } from './support.ts';

const lmdbChild = fileURLToPath(new URL('lmdb-child.ts', import.meta.url));
const compactChild = fileURLToPath(new URL('compact-child.ts', import.meta.url));

async function open(path: string): Promise<Kv> {
  return await openLmdb({ path, tables: KV_TABLES });
}

async function put(kv: Kv, key: string, value: string): Promise<void> {
  await kv.transact((txn) => txn.put('first', bytes(key), bytes(value)));
}

/** A store with one entry, in a file with much free room. */
async function roomy(path: string): Promise<void> {
  const kv = await open(path);
  await put(kv, 'large', 'x'.repeat(8 << 20));
  await put(kv, 'kept', 'yes');
  await kv.transact((txn) => txn.remove('first', bytes('large')));
  await kv.close();
}

async function content(path: string): Promise<string[]> {
  const kv = await open(path);
  try {
    return list(kv);
  } finally {
    await kv.close();
  }
}

describe('a copy', () => {
  test('has what was committed, for this user alone', async () => {
    await withDirectory(async (parent) => {
      const kv = await open(join(parent, 'data'));
      await put(kv, 'a', '1');
      for (const compact of [false, true]) {
        const target = join(parent, `${compact}`);
        mkdirSync(target);
        const copying = kv.copy?.(target, { compact });
        const writing = put(kv, 'b', 'x'.repeat(1 << 20));
        await copying;
        await writing;
        expect(readdirSync(target)).toEqual(['data.mdb']);
        expect(statSync(join(target, 'data.mdb')).mode & 0o777).toBe(0o600);
        expect((await content(target))[0]).toBe('a=1');
      }
      await kv.close();
      await expect(kv.copy?.(parent, { compact: false })).rejects.toMatchObject({
        code: 'MR_CLOSED',
      });
    });
  });

  test('is finished before the store is closed', async () => {
    await withDirectory(async (parent) => {
      const kv = await open(join(parent, 'data'));
      await put(kv, 'a', 'x'.repeat(8 << 20));
      const target = join(parent, 'copy');
      mkdirSync(target);
      await Promise.all([kv.copy?.(target, { compact: true }), kv.close()]);
      expect(await content(target)).toHaveLength(1);
    });
  });

  test('into a place that is not there or taken fails and changes nothing there', async () => {
    await withDirectory(async (parent) => {
      const kv = await open(join(parent, 'data'));
      await put(kv, 'a', '1');
      await expect(kv.copy?.(join(parent, 'x', 'y'), { compact: false })).rejects.toMatchObject({
        domain: 'external',
      });
      mkdirSync(join(parent, 'taken'));
      writeFileSync(join(parent, 'taken', 'data.mdb'), 'mine');
      await expect(kv.copy?.(join(parent, 'taken'), { compact: true })).rejects.toMatchObject({
        domain: 'external',
      });
      expect(readFileSync(join(parent, 'taken', 'data.mdb'), 'utf8')).toBe('mine');
      await kv.close();
    });
  });

  test('is nothing that a store in memory could make', () => {
    expect(simulatedKv({ tables: KV_TABLES }).copy).toBeUndefined();
  });
});

describe('compaction', () => {
  test('gives the room back and keeps every entry', async () => {
    await withDirectory(async (path) => {
      await roomy(path);
      const { bytesBefore, bytesAfter } = await compactLmdb(path, KV_TABLES);
      expect(bytesBefore).toBeGreaterThan(8 << 20);
      expect(bytesAfter).toBe(statSync(join(path, 'data.mdb')).size);
      expect(bytesAfter).toBeLessThan(1 << 20);
      expect(readdirSync(path)).toEqual(['data.mdb']);
      expect(statSync(join(path, 'data.mdb')).mode & 0o777).toBe(0o600);
      expect(await content(path)).toEqual(['kept=yes']);
    });
  });

  test('is refused while this process has the store open', async () => {
    await withDirectory(async (path) => {
      await roomy(path);
      const kv = await open(path);
      await expect(compactLmdb(path, KV_TABLES)).rejects.toMatchObject({
        code: 'MR_IN_USE',
        retryable: true,
      });
      await put(kv, 'still', 'usable');
      await kv.close();
      await compactLmdb(path, KV_TABLES);
      expect(await content(path)).toEqual(['kept=yes', 'still=usable']);
    });
  });

  test('is refused while another process has it open, even one that only waits', async () => {
    await withDirectory(async (path) => {
      await roomy(path);
      const child = fork(lmdbChild, [path]);
      await once(child, 'message');
      const size = statSync(join(path, 'data.mdb')).size;
      await expect(compactLmdb(path, KV_TABLES)).rejects.toMatchObject({
        code: 'MR_IN_USE',
        message: expect.stringContaining(`process ${child.pid}`) as string,
      });
      expect(statSync(join(path, 'data.mdb')).size).toBe(size);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await compactLmdb(path, KV_TABLES);
      expect(await content(path)).toEqual(['kept=yes']);
    });
  });

  test('makes this process wait and others go away', async () => {
    await withDirectory(async (path) => {
      await roomy(path);
      const compacting = compactLmdb(path, KV_TABLES);
      const turns = systemClock();
      while (!existsSync(join(path, 'compacting'))) await turns.turn();
      const child = fork(lmdbChild, [path], { silent: true });
      let errors = '';
      child.stderr?.on('data', (chunk) => (errors += String(chunk)));
      const kv = await open(path);
      await compacting;
      expect(textOf(kv, 'kept')).toBe('yes');
      // Whether it came while the gate was up or later is not known; it has never the old file.
      await Promise.race([once(child, 'message'), once(child, 'exit')]);
      if (child.exitCode === null) {
        child.send({ put: 'theirs', value: '1' });
        await once(child, 'message');
        expect(textOf(kv, 'theirs')).toBe('1');
        child.disconnect();
        await once(child, 'exit');
      } else expect(errors).toContain('MR_IN_USE');
      await kv.close();
    });
  });

  test('a gate keeps everybody out while its process lives', async () => {
    await withDirectory(async (path) => {
      await roomy(path);
      const gate = join(path, 'compacting');
      writeFileSync(gate, `${process.ppid}\n`);
      for (const call of [() => open(path), () => compactLmdb(path, KV_TABLES)])
        await expect(call()).rejects.toMatchObject({
          code: 'MR_IN_USE',
          retryable: true,
          message: expect.stringContaining(`process ${process.ppid}`) as string,
        });
      for (const left of ['', 'nonsense', '999999999', '-1', '0']) {
        writeFileSync(gate, left);
        expect(await content(path), `gate ${JSON.stringify(left)}`).toEqual(['kept=yes']);
        await compactLmdb(path, KV_TABLES);
        expect(existsSync(gate)).toBe(false);
      }
    });
  });

  test('goes over what a crash has left, before and after the new file was in its place', async () => {
    await withDirectory(async (path) => {
      await roomy(path);
      mkdirSync(join(path, 'compacted'));
      writeFileSync(join(path, 'compacted', 'data.mdb'), 'half a copy');
      expect(await content(path)).toEqual(['kept=yes']);
      await compactLmdb(path, KV_TABLES);
      // The lock file goes first, so it may be missing beside either file.
      rmSync(join(path, 'lock.mdb'), { force: true });
      mkdirSync(join(path, 'compacted'));
      renameSync(join(path, 'data.mdb'), join(path, 'compacted', 'data.mdb'));
      renameSync(join(path, 'compacted', 'data.mdb'), join(path, 'data.mdb'));
      expect(await content(path)).toEqual(['kept=yes']);
      await compactLmdb(path, KV_TABLES);
      expect(readdirSync(path)).toEqual(['data.mdb']);
    });
  });

  test('a kill in the middle leaves a whole file', async () => {
    await withDirectory(async (path) => {
      const kv = await open(path);
      for (let i = 0; i < 4; i++) await put(kv, `k${i}`, 'x'.repeat(1 << 20));
      await kv.close();
      const turns = systemClock();
      for (let kill = 0; kill < 3; kill++) {
        const child = fork(compactChild, [path]);
        // In the first copy, and later ever further on.
        for (let seen = 0; seen <= kill; seen++) {
          while (!existsSync(join(path, 'compacted'))) await turns.turn();
          if (seen < kill) while (existsSync(join(path, 'compacted'))) await turns.turn();
        }
        child.kill('SIGKILL');
        await once(child, 'exit');
        expect((await content(path)).map((entry) => entry.length)).toEqual(
          Array.from({ length: 4 }, () => (1 << 20) + 3),
        );
      }
      await compactLmdb(path, KV_TABLES);
      expect(readdirSync(path)).toEqual(['data.mdb']);
    });
  }, 60_000);
});
