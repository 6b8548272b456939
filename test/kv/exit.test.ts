/** A process may end at any moment, in whatever way: it does end, and its lock does not outlive it. */
import { expect, test } from 'vitest';

import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';
import { Program } from '../faults/processes.ts';
import { withDirectory } from './support.ts';

const child = new URL('./exit-child.ts', import.meta.url);
const [table = ''] = KV_TABLES;

test.each([
  { how: 'exit', status: 7, says: '' },
  { how: 'throw', status: 1, says: 'nobody catches this' },
  { how: 'reject', status: 1, says: 'nobody catches this' },
  { how: 'handled', status: 9, says: '' },
])('$how within a transaction', { timeout: 60_000 }, async ({ how, status, says }) => {
  await withDirectory(async (directory) => {
    const program = new Program(child, [directory, how]);
    try {
      await program.said('behind');
      expect(await program.status, program.stderr).toBe(status);
    } finally {
      await program.end();
    }
    expect(program.stdout).toBe('before\nbehind\n');
    if (says === '') expect(program.stderr).toBe('');
    else expect(program.stderr).toContain(says);
    const kv = await openLmdb({ path: directory, tables: KV_TABLES });
    await kv.transact((txn) => txn.put(table, Buffer.from('next'), Buffer.from('yes')));
    expect(kv.get(table, Buffer.from('whole'))).toEqual(Buffer.from('yes'));
    expect(kv.get(table, Buffer.from('lost'))).toBe(undefined);
    await kv.close();
  });
});
