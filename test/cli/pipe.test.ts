/** Standard output as others use it: closed early, not a terminal, without colours. */
import { spawn, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';

import { append, cliFile, millrace, withDirectory, withLog, SLOW } from './support.ts';

test(
  'a reader that closes the pipe is no failure',
  async () => {
    await withDirectory(async (directory) => {
      await withLog(directory, async (log) => {
        await log.createTopic({ name: 'orders', partitions: 1, codec: 'utf8', role: 'source' });
        const value = 'x'.repeat(1_000);
        await append(
          log,
          'orders',
          Array.from({ length: 2_000 }, () => ({ value })),
        );
      });
      const args = ['tail', 'orders', '--from', 'start', '--broker', `file:${directory}`];
      const child = spawn(process.execPath, ['-C', 'millrace-source', cliFile, ...args], {
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      child.stdout.once('data', () => child.stdout.destroy());
      const status = await new Promise((resolve) => {
        child.on('close', resolve);
      });
      expect([status, stderr]).toEqual([0, '']);
    });
  },
  SLOW,
);

test(
  'a pipe gets no colours and no cut lines, with or without NO_COLOR',
  async () => {
    await withDirectory(async (directory) => {
      const name = `${'a-topic-with-a-long-name-'.repeat(4)}x`;
      await withLog(directory, async (log) => {
        await log.createTopic({ name, partitions: 1, codec: 'json', role: 'source' });
      });
      for (const env of [{ NO_COLOR: '1' }, { NO_COLOR: '' }]) {
        const { stdout } = await millrace(['topics', '--broker', `file:${directory}`], { env });
        expect(stdout).toContain(name);
        expect(stdout).not.toContain('\u001b');
      }
    });
  },
  SLOW,
);

/** Runs a command on a terminal of 60 columns; `script` is part of most systems. */
function onTerminal(args: readonly string[], env: Readonly<Record<string, string>>): string {
  const quoted = [process.execPath, '-C', 'millrace-source', cliFile, ...args]
    .map((word) => `'${word}'`)
    .join(' ');
  const { stdout } = spawnSync(
    'script',
    ['--quiet', '--return', '--command', `stty cols 60; ${quoted}`, '/dev/null'],
    { encoding: 'utf8', env: { ...process.env, TERM: 'xterm', ...env } },
  );
  return stdout.replaceAll('\r\n', '\n');
}

const hasScript = String(spawnSync('script', ['--version']).stdout).includes('util');

test.skipIf(!hasScript)(
  'a terminal gets bold titles and lines that fit; NO_COLOR takes the former',
  async () => {
    await withDirectory(async (directory) => {
      const name = `${'a-topic-with-a-long-name-'.repeat(4)}x`;
      await withLog(directory, async (log) => {
        await log.createTopic({ name, partitions: 1, codec: 'json', role: 'source' });
      });
      const args = ['topics', '--broker', `file:${directory}`];
      const colored = onTerminal(args, { NO_COLOR: '' });
      expect(colored).toContain('\u001b[1mTOPIC');
      const plain = onTerminal(args, { NO_COLOR: '1' });
      expect(plain).not.toContain('\u001b[');
      expect(plain).toMatch(/^a-topic-with.*… +1 +0 /mu);
      for (const line of plain.split('\n')) expect(line.length).toBeLessThanOrEqual(60);
    });
  },
  SLOW,
);
