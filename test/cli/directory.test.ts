/** `verify`, `backup` and `compact` on a directory. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { append, millrace, run, withDirectory, withLog, SLOW } from './support.ts';

/** Runs `body` with a directory that holds a topic of ten records. */
async function withData(
  body: (directory: string, broker: string[]) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const data = join(directory, 'data');
    await withLog(data, async (log) => {
      await log.createTopic({ name: 'orders', partitions: 1, codec: 'utf8', role: 'source' });
      for (let n = 0; n < 10; n++)
        await append(log, 'orders', [{ value: `the order with the number ${n}` }]);
    });
    await body(directory, ['--broker', `file:${data}`]);
  });
}

test(
  'verify: a whole directory',
  async () => {
    await withData(async (_directory, broker) => {
      const { status, stdout, stderr } = await millrace(['verify', ...broker]);
      expect([status, stderr]).toEqual([0, '']);
      expect(stdout).toMatch(/^topics +1\n[^]*^records +10 in 10 frames\n[^]*^problems +0\n$/mu);
      const report = await millrace(['verify', '--json', ...broker]);
      expect(JSON.parse(report.stdout)).toMatchObject({ ok: true, records: 10, problems: [] });
    });
  },
  SLOW,
);

test(
  'verify: a damaged one',
  async () => {
    await withData(async (directory, broker) => {
      const file = join(directory, 'data', 'data.mdb');
      const bytes = readFileSync(file);
      for (let at = bytes.indexOf('number 7'); at >= 0; at = bytes.indexOf('number 7', at + 1))
        bytes[at] = 0x4e;
      writeFileSync(file, bytes);
      const { status, stdout, stderr } = await millrace(['verify', ...broker]);
      expect([status, stderr]).toEqual([1, '']);
      expect(stdout).toMatch(/^SEVERITY +KIND +PLACE +PROBLEM\nerror +frame +orders\[0\]@7 /mu);
      const report = await millrace(['verify', '--json', ...broker]);
      expect(report.status).toBe(1);
      expect(JSON.parse(report.stdout)).toMatchObject({ ok: false, problemCount: 1 });
    });
  },
  SLOW,
);

test(
  'backup: a copy that can be read, once',
  async () => {
    await withData(async (directory, broker) => {
      const target = join(directory, 'copy');
      const made = await millrace(['backup', target, '--json', ...broker]);
      expect(made).toMatchObject({ status: 0, stderr: '' });
      expect(JSON.parse(made.stdout)).toMatchObject({ directory: target, topics: 1 });
      const { stdout } = await run(['tail', 'orders', '--broker', `file:${target}`]);
      expect(stdout.trim().split('\n')).toHaveLength(10);
      const twice = await run(['backup', target, ...broker]);
      expect(twice.status).toBe(1);
      expect(twice.stderr).toContain('MR_ARGUMENT_INVALID');
      const smaller = await run(['backup', join(directory, 'small'), '--compact', ...broker]);
      expect(smaller.stdout).toMatch(/small: 1 topic, .*B\n$/u);
    });
  },
  SLOW,
);

test(
  'compact: a smaller file, and not while it is in use',
  async () => {
    await withData(async (directory, broker) => {
      const { status, stdout, stderr } = await millrace(['compact', '--json', ...broker]);
      expect([status, stderr]).toEqual([0, '']);
      const { bytesBefore, bytesAfter } = JSON.parse(stdout) as Record<string, number>;
      expect(bytesAfter).toBeLessThanOrEqual(bytesBefore ?? 0);
      await withLog(join(directory, 'data'), async () => {
        const busy = await millrace(['compact', ...broker]);
        expect(busy.status).toBe(1);
        expect(busy.stderr).toMatch(/^millrace: MR_IN_USE: /u);
      });
      expect((await run(['tail', 'orders', ...broker])).stdout.trim().split('\n')).toHaveLength(10);
    });
  },
  SLOW,
);

test.each([['verify'], ['backup', 'copy'], ['compact']])(
  '%s of nothing',
  async (...args) => {
    await withDirectory(async (directory) => {
      const url = `file:${join(directory, 'none')}`;
      const { status, stderr } = await run([...args, '--broker', url]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^millrace: MR_ARGUMENT_INVALID: there is no data in /u);
      expect(existsSync(join(directory, 'none'))).toBe(false);
    });
  },
  SLOW,
);
