/** What millrace makes is its user's alone, whatever the umask, and it says when others could replace it. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { realContext, withDirectory } from './log-over.ts';

const program = fileURLToPath(new URL('modes-child.ts', import.meta.url));
/** It starts a process. */
const SLOW_MS = 60_000;

test('directories have mode 0700 and files 0600 under umask 000', { timeout: SLOW_MS }, () =>
  withDirectory((parent) => {
    const { stdout, stderr } = spawnSync(process.execPath, [program, parent], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      above: '700',
      'above/data': '700',
      'above/data/data.mdb': '600',
      'above/data/lock.mdb': '600',
      'above/data/sockets': '700',
      'above/data/sockets/*': 'socket',
      copy: '700',
      'copy/data.mdb': '600',
    });
    return Promise.resolve();
  }),
);

test('a directory that anybody may write to, or that is in such a one, is warned of', async () => {
  const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  try {
    await withDirectory(async (parent) => {
      const above = join(parent, 'above');
      const directory = join(above, 'data');
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const warning = async (): Promise<unknown> => {
        emitted.mockClear();
        await (await openBroker(`file:${directory}`, realContext())).close();
        return emitted.mock.calls[0]?.[0];
      };
      expect(await warning()).toBeUndefined();
      chmodSync(above, 0o777);
      expect(await warning()).toMatch(
        /may replace the store in .*above has mode 0777; .*chmod o-w/,
      );
      // As /tmp is.
      chmodSync(above, 0o1777);
      expect(await warning()).toBeUndefined();
      chmodSync(directory, 0o777);
      expect(await warning()).toMatch(/data has mode 0777/);
    });
  } finally {
    emitted.mockRestore();
  }
});
