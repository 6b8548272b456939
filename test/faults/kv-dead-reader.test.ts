/** A reader that was killed: what it was reading is not kept for it, though nobody opens the store anew. */
import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { bytes, withDirectory } from '../kv/support.ts';

const ROW_BYTES = 100_000;
const ROWS = 20;
const ROUNDS = 60;
const KILLS = 3;
const MEBIBYTE = 1024 * 1024;
/** The rows, what a transaction replaces, and what is written between two looks for the dead, for each of them. */
const MAX_MEBIBYTES = 64;

const program = fileURLToPath(new URL('kv-dead-reader-child.ts', import.meta.url));

test(`${KILLS} readers that are killed with a snapshot held`, async () => {
  await withDirectory(async (path) => {
    const kv = await openLmdb({ path, tables: KV_TABLES });
    const size = (): number => statSync(join(path, 'data.mdb')).size / MEBIBYTE;
    const rewrite = async (round: number): Promise<void> => {
      for (let row = 0; row < ROWS; row++)
        await kv.transact((txn) =>
          txn.put('first', bytes(`row ${row}`), Buffer.alloc(ROW_BYTES, round)),
        );
    };
    await rewrite(0);
    const sizes = [size()];
    for (let kill = 0; kill < KILLS; kill++) {
      const { signal, stderr } = spawnSync(process.execPath, [program, path], { encoding: 'utf8' });
      expect(signal, stderr).toBe('SIGKILL');
      for (let round = 1; round <= ROUNDS; round++) await rewrite(round);
      sizes.push(size());
    }
    await kv.close();
    const written = (KILLS * ROUNDS * ROWS * ROW_BYTES) / MEBIBYTE;
    process.stdout.write(
      `dead readers: ${KILLS}, ${written.toFixed(0)} MiB written, file ${sizes.map((each) => each.toFixed(1)).join(', ')} MiB\n`,
    );
    expect(sizes.at(-1)).toBeLessThan(MAX_MEBIBYTES);
  });
});
