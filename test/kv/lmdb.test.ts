import { execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { open as openRaw, type Database, type RootDatabase } from 'lmdb';
import { describe, expect, test } from 'vitest';

import type { Kv } from '../../src/kv/kv.ts';
import { openLmdb, type LmdbModule } from '../../src/kv/lmdb/lmdb.ts';
import { LmdbReads, type Table } from '../../src/kv/lmdb/reads.ts';
import { KV_TABLES, kvConformance } from '../../src/testing/conformance/kv.ts';
import type { Order } from './lmdb-child.ts';
import { bytes, list, textOf, withDirectory } from './support.ts';

kvConformance({
  name: 'lmdb',
  test,
  open: async () => {
    const path = mkdtempSync(join(tmpdir(), 'millrace-kv-'));
    const open = (): Promise<Kv> => openLmdb({ path, tables: KV_TABLES });
    const kv = await open();
    return {
      kv,
      reopen: open,
      dispose: async () => {
        await kv.close();
        rmSync(path, { recursive: true });
      },
    };
  },
});

const childFile = fileURLToPath(new URL('lmdb-child.ts', import.meta.url));

function spoilt(file: Buffer, at: number, value: number): Buffer {
  file[at] = value;
  return file;
}

async function withStore<T>(body: (kv: Kv, path: string) => Promise<T>): Promise<T> {
  return await withDirectory(async (path) => {
    const kv = await openLmdb({ path, tables: KV_TABLES });
    try {
      return await body(kv, path);
    } finally {
      await kv.close();
    }
  });
}

describe('the directory', () => {
  test('is made with its parents for this user alone', async () => {
    await withDirectory(async (parent) => {
      const path = join(parent, 'a', 'b');
      const kv = await openLmdb({ path, tables: KV_TABLES });
      await kv.transact((txn) => txn.put('first', bytes('a'), bytes('1')));
      await kv.close();
      const mode = (name: string): string =>
        (statSync(join(parent, name)).mode & 0o777).toString(8);
      expect(['a', 'a/b', 'a/b/data.mdb', 'a/b/lock.mdb'].map(mode)).toEqual([
        '700',
        '700',
        '600',
        '600',
      ]);
    });
  });

  test('keeps its mode when it was there', async () => {
    await withDirectory(async (path) => {
      chmodSync(path, 0o750);
      await (await openLmdb({ path, tables: KV_TABLES })).close();
      expect(statSync(path).mode & 0o777).toBe(0o750);
    });
  });

  test('may have a dot in its name', async () => {
    await withDirectory(async (parent) => {
      const path = join(parent, 'data.v1');
      const kv = await openLmdb({ path, tables: KV_TABLES });
      await kv.close();
      expect(statSync(join(path, 'data.mdb')).isFile()).toBe(true);
    });
  });

  test('is refused when something else stands there', async () => {
    await withDirectory(async (parent) => {
      const file = join(parent, 'file');
      writeFileSync(file, 'text');
      for (const path of [file, join(file, 'below')])
        await expect(openLmdb({ path, tables: KV_TABLES })).rejects.toMatchObject({
          code: 'MR_PERMISSION',
          message: expect.stringContaining(path) as string,
          details: { directory: path },
        });
    });
  });

  test('is refused when it may not be written, naming its mode', async (context) => {
    if (process.getuid?.() === 0) context.skip('modes do not bind the superuser');
    await withDirectory(async (path) => {
      chmodSync(path, 0o500);
      await expect(openLmdb({ path, tables: KV_TABLES })).rejects.toMatchObject({
        code: 'MR_PERMISSION',
        domain: 'external',
        message: expect.stringMatching(`${path}.*0500`) as string,
      });
      chmodSync(path, 0o700);
    });
  });

  test.for<[what: string, code: string, file: (real: Buffer) => Buffer]>([
    ['is something else', 'MR_CORRUPT', () => Buffer.alloc(16_000, 'not a database. ')],
    ['is full of zeros', 'MR_CORRUPT', () => Buffer.alloc(16_384)],
    ['is only a few bytes', 'MR_CORRUPT', () => Buffer.from('short')],
    ['has been cut in its head', 'MR_CORRUPT', (real) => real.subarray(0, 5000)],
    ['is of the next version', 'MR_VERSION_UNSUPPORTED', (real) => spoilt(real, 28, 3)],
    ['is of the version before', 'MR_VERSION_UNSUPPORTED', (real) => real.subarray(8)],
  ])('is refused when its file %s', async ([, code, file]) => {
    await withStore(async (kv, realPath) => {
      await kv.transact((txn) => txn.put('first', bytes('a'), bytes('1')));
      const real = readFileSync(join(realPath, 'data.mdb'));
      await withDirectory(async (path) => {
        writeFileSync(join(path, 'data.mdb'), real);
        const copy = await openLmdb({ path, tables: KV_TABLES });
        expect(list(copy)).toEqual(['a=1']);
        await copy.close();
        writeFileSync(join(path, 'data.mdb'), file(Buffer.from(real)));
        await expect(openLmdb({ path, tables: KV_TABLES })).rejects.toMatchObject({
          code,
          domain: 'external',
          details: { directory: path },
        });
      });
    });
  });

  test('may hold an empty file', async () => {
    await withDirectory(async (path) => {
      writeFileSync(join(path, 'data.mdb'), '');
      const kv = await openLmdb({ path, tables: KV_TABLES });
      await kv.transact((txn) => txn.put('first', bytes('a'), bytes('1')));
      expect(list(kv)).toEqual(['a=1']);
      await kv.close();
    });
  });

  test('may be opened many times at once', async () => {
    await withDirectory(async (path) => {
      const openings = await Promise.all(
        Array.from({ length: 10 }, () => openLmdb({ path, tables: KV_TABLES })),
      );
      await Promise.all(
        openings.map((kv, i) => kv.transact((txn) => txn.put('first', bytes(`${i}`), bytes('1')))),
      );
      for (const kv of openings) {
        expect(list(kv)).toHaveLength(10);
        await kv.close();
      }
    });
  });

  test('may be opened and closed while another user of it writes', () =>
    withDirectory(async (path) => {
      const writer = await openLmdb({ path, tables: KV_TABLES });
      let written = 0;
      let ended = false;
      const writing = (async () => {
        while (!ended) {
          await writer.transact((txn) => txn.put('first', bytes('n'), bytes(String(written + 1))));
          written++;
        }
      })();
      // A second opening of lmdb-js would wait for the lock that the writer holds, and the writer for this thread.
      for (let i = 0; i < 30; i++) {
        const other = await openLmdb({ path, tables: KV_TABLES });
        await other.transact((txn) => txn.put('second', bytes('i'), bytes(String(i))));
        expect(Number(textOf(other, 'n'))).toBeGreaterThanOrEqual(written);
        await other.close();
        await expect(other.transact(() => undefined)).rejects.toMatchObject({ code: 'MR_CLOSED' });
        expect(() => other.get('first', bytes('n'))).toThrow(
          expect.objectContaining({ code: 'MR_CLOSED' }),
        );
      }
      ended = true;
      await writing;
      await writer.close();
      const again = await openLmdb({ path, tables: KV_TABLES });
      expect(textOf(again, 'n')).toBe(String(written));
      expect(textOf(again, 'i', 'second')).toBe('29');
      await again.close();
    }));

  test('may be opened again while the last user closes it', () =>
    withDirectory(async (path) => {
      let kv = await openLmdb({ path, tables: KV_TABLES });
      for (let i = 0; i < 10; i++) {
        const last = kv;
        const put = last.transact((txn) => txn.put('first', bytes('i'), bytes(String(i))));
        const closing = last.close();
        kv = await openLmdb({ path, tables: KV_TABLES });
        await Promise.all([put, closing]);
        expect(textOf(kv, 'i')).toBe(String(i));
      }
      await kv.close();
    }));

  test('is refused when a directory stands in place of its file', async () => {
    await withDirectory(async (path) => {
      mkdirSync(join(path, 'data.mdb'));
      await expect(openLmdb({ path, tables: KV_TABLES })).rejects.toMatchObject({
        code: 'MR_PERMISSION',
      });
    });
  });
});

test('a platform without lmdb is told so', async () => {
  const reason = new Error('No native build was found');
  await withDirectory(async (parent) => {
    const path = join(parent, 'data');
    const call = openLmdb({ path, tables: KV_TABLES, load: () => Promise.reject(reason) });
    await expect(call).rejects.toMatchObject({
      code: 'MR_DEPENDENCY_MISSING',
      message: expect.stringContaining('npm install lmdb') as string,
      cause: reason,
    });
    expect(() => statSync(path)).toThrow('ENOENT');
  });
});

test('a write that lmdb refuses fails its group and stops the store', async () => {
  await withDirectory(async (path) => {
    const refusal = Object.assign(new Error('MDB_PROBLEM'), { code: -30_779 });
    const refusing: LmdbModule = {
      open: (options) => {
        const root = openRaw(options);
        const openDB = root.openDB.bind(root) as (name: string, options: object) => Database;
        const put = (table: Database): Database['putSync'] => {
          const real = table.putSync.bind(table) as (key: Buffer, value: Buffer) => void;
          return (key: unknown, value: unknown) => {
            if (String(key) === 'bad') throw refusal;
            real(key as Buffer, value as Buffer);
          };
        };
        return Object.assign(root, {
          openDB: (name: string, tableOptions: object) => {
            const table = openDB(name, tableOptions);
            return Object.assign(table, { putSync: put(table) });
          },
        });
      },
    };
    const kv = await openLmdb({ path, tables: KV_TABLES, load: () => Promise.resolve(refusing) });
    const putting = (key: string): Promise<void> =>
      kv.transact((txn) => txn.put('first', bytes(key), bytes('1')));
    await putting('a');
    const results = await Promise.allSettled([putting('bad'), putting('b')]);
    for (const result of [...results, ...(await Promise.allSettled([putting('c')]))])
      expect(result.status === 'rejected' && result.reason).toMatchObject({
        code: 'MR_IO',
        domain: 'external',
        retryable: false,
        cause: refusal,
      });
    expect(list(kv)).toEqual(['a=1']);
    await kv.flush();
    await kv.close();
  });
});

test('a walk that lmdb leads in a circle ends with an error', () => {
  const entries = ['a', 'b', 'c', 'a', 'b'].map((key) => ({ key: bytes(key), value: bytes('1') }));
  const table = { getRange: () => entries.values() } as unknown as Table;
  const root = { resetReadTxn: () => undefined } as unknown as RootDatabase;
  const reads = new LmdbReads(root, new Map([['first', table]]), './data');
  const seen: string[] = [];
  const walk = (): void => {
    for (const { key } of reads.range('first', {})) seen.push(Buffer.from(key).toString());
  };
  expect(walk).toThrow(expect.objectContaining({ code: 'MR_CORRUPT' }) as Error);
  expect(walk).toThrow(/data.mdb in .\/data is damaged: its keys are out of order/);
  expect(seen.slice(0, 3)).toEqual(['a', 'b', 'c']);
  expect(seen).toHaveLength(6);
  const between = (): unknown[] => [...reads.range('first', { from: bytes('aa') })];
  expect(between, 'a key in front of the range').toThrow(/out of order/);
  const down = (): unknown[] => [...reads.range('first', { reverse: true })];
  expect(down).toThrow(/out of order/);
});

test('there is room for 1,024 readers', async () => {
  await withStore(async (_kv, path) => {
    const raw = openRaw({ path });
    expect(raw.getStats()).toMatchObject({ maxReaders: 1024 });
    await raw.close();
  });
});

test('neither a read nor a suspended range holds a snapshot', async () => {
  await withStore(async (kv, path) => {
    const raw = openRaw({ path });
    const snapshots = (): number =>
      raw
        .readerList()
        .split('\n')
        .filter((line) => /\d\s*$/.test(line) && !line.includes('-')).length;
    await kv.transact((txn) => {
      for (let i = 0; i < 10; i++) txn.put('first', bytes(`${i}`), bytes('1'));
    });
    const walk = kv.range('first', {})[Symbol.iterator]();
    walk.next();
    kv.get('first', bytes('1'));
    expect(snapshots()).toBe(1);
    await Promise.resolve();
    expect(snapshots()).toBe(0);
    expect(walk.next().done).toBe(false);
    await raw.close();
  });
});

test('the file does not grow while a suspended range waits', async () => {
  await withStore(async (kv, path) => {
    const overwrite = async (): Promise<void> => {
      for (let round = 0; round < 10; round++)
        await kv.transact((txn) => {
          for (let i = 0; i < 20; i++) txn.put('first', bytes(`${i}`), Buffer.alloc(10_000, round));
        });
    };
    await overwrite();
    const walk = kv.range('first', {})[Symbol.iterator]();
    walk.next();
    await Promise.resolve();
    const { size } = statSync(join(path, 'data.mdb'));
    await overwrite();
    expect(statSync(join(path, 'data.mdb')).size).toBe(size);
    expect(walk.next().done).toBe(false);
  });
});

describe('another process', () => {
  async function withChild(
    path: string,
    body: (tell: (order: Order) => Promise<string>) => Promise<void>,
  ): Promise<void> {
    const child = fork(childFile, [path]);
    const answer = async (): Promise<string> => {
      const [message] = (await once(child, 'message')) as [string];
      return message;
    };
    try {
      expect(await answer()).toBe('ready');
      await body(async (order) => {
        const answered = answer();
        child.send(order);
        return await answered;
      });
    } finally {
      child.disconnect();
      await once(child, 'exit');
    }
  }

  test('sees what was committed, and is seen', async () => {
    await withStore(async (kv, path) => {
      await withChild(path, async (tell) => {
        for (let round = 0; round < 20; round++) {
          expect(textOf(kv, 'theirs')).toBe(round === 0 ? undefined : `${round - 1}`);
          expect(await tell({ put: 'theirs', value: `${round}` })).toBe('done');
          expect(textOf(kv, 'theirs')).toBe(`${round}`);
          await kv.transact((txn) => txn.put('first', bytes('ours'), bytes(`${round}`)));
          expect(await tell({ get: 'ours' })).toBe(`${round}`);
        }
        expect(list(kv)).toEqual(['ours=19', 'theirs=19']);
      });
    });
  });

  test('takes turns with this one', async () => {
    await withStore(async (kv, path) => {
      await withChild(path, async (tell) => {
        const theirs = tell({ increment: 'count', times: 200 });
        for (let time = 0; time < 200; time++)
          await kv.transact((txn) => {
            const count = Number(textOf(txn, 'count') ?? 0);
            txn.put('first', bytes('count'), bytes(`${count + 1}`));
          });
        expect(await theirs).toBe('done');
        expect(textOf(kv, 'count')).toBe('400');
      });
    });
  });
});

test('lmdb-js still dies of a file that lmdb refuses, so files are checked before it opens them', async () => {
  await withDirectory(async (path) => {
    writeFileSync(join(path, 'data.mdb'), 'not a database. '.repeat(1000));
    const program = `import('lmdb').then(({ open }) => { try { open({ path: process.argv[1] }); } catch {} })`;
    const child = spawnSync(process.execPath, ['-e', program, path], { encoding: 'utf8' });
    expect(['SIGSEGV', 'SIGABRT', 'SIGBUS']).toContain(child.signal);
  });
});

/** What src/kv/lmdb works around, shown on lmdb-js itself: a test that fails here says which line can go. */
describe('lmdb-js still', () => {
  const options = { encoding: 'binary', keyEncoding: 'binary' } as const;

  test('commits what a callback has put before it threw, so bodies write into an overlay', async () => {
    await withDirectory(async (path) => {
      const raw = openRaw({ path, ...options });
      const call = raw.transaction(() => {
        raw.putSync(bytes('a'), bytes('1'));
        throw new Error('of the callback');
      });
      await expect(call).rejects.toThrow('of the callback');
      expect(raw.get(bytes('a'))).toBeDefined();
      await raw.close();
    });
  });

  test('reads an old snapshot after the stretch that took it, so reads give theirs back', async () => {
    await withStore(async (kv, path) => {
      const raw = openRaw({ path });
      const first = raw.openDB<Buffer, Buffer>('first', options);
      expect([first.get(bytes('a')), textOf(kv, 'a')]).toEqual([undefined, undefined]);
      execFileSync(process.execPath, [childFile, path, 'a', '1']);
      await Promise.resolve();
      expect([first.get(bytes('a')), textOf(kv, 'a')]).toEqual([undefined, '1']);
      await raw.close();
    });
  });

  test('reads uncommitted writes inside a callback, so reads of the store are refused there', async () => {
    await withDirectory(async (path) => {
      const raw = openRaw<Buffer, Buffer>({ path, ...options });
      await raw.transaction(() => {
        raw.putSync(bytes('a'), bytes('1'));
        expect(raw.get(bytes('a'))?.toString()).toBe('1');
      });
      await raw.close();
    });
  });

  test('stops a walk down above the lowest key, so walks name their lower end', async () => {
    await withDirectory(async (path) => {
      const raw = openRaw<Buffer, Buffer>({ path, ...options });
      await raw.transaction(() => {
        raw.putSync(Buffer.of(0), bytes('1'));
        raw.putSync(Buffer.of(1), bytes('1'));
      });
      expect(Array.from(raw.getRange({ reverse: true })).length).toBe(1);
      expect(Array.from(raw.getRange({})).length).toBe(2);
      await raw.close();
    });
  });

  test('gives large values properties of its own, so values are taken out of them', async () => {
    await withStore(async (kv, path) => {
      const value = Buffer.alloc(17 << 20, 1);
      await kv.transact((txn) => txn.put('first', bytes('a'), value));
      const raw = openRaw({ path });
      const read = raw.openDB<Buffer, Buffer>('first', options).getBinary(bytes('a'));
      expect(Object.hasOwn(read ?? {}, 'maxLength')).toBe(true);
      const ours = [kv.get('first', bytes('a')), [...kv.range('first', {})][0]?.value];
      for (const each of ours) {
        expect(Object.hasOwn(each ?? {}, 'maxLength')).toBe(false);
        expect(Buffer.compare(each as Uint8Array, value)).toBe(0);
      }
      await raw.close();
    });
  });
});
