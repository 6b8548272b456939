/** What the tests of the stores share. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { KvRange, KvReader } from '../../src/kv/kv.ts';

/** Runs `body` with a directory that is gone afterwards. */
export async function withDirectory<T>(body: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-kv-'));
  try {
    return await body(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export function bytes(text: string): Buffer {
  return Buffer.from(text);
}

/** The text under a key. */
export function textOf(reader: KvReader, key: string, table = 'first'): string | undefined {
  const value = reader.get(table, bytes(key));
  return value === undefined ? undefined : Buffer.from(value).toString();
}

/** The entries of a table as `key=value`. */
export function list(reader: KvReader, range: KvRange = {}, table = 'first'): string[] {
  return Array.from(
    reader.range(table, range),
    ({ key, value }) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`,
  );
}
