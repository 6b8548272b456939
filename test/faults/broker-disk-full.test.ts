/** A full disk: a typed error, nothing half written, and work goes on when there is space again. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import type { Broker } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { MillraceError } from '../../src/core/errors.ts';
import { frameOf, realContext, textsOf } from '../broker/log-over.ts';

/** A file system of 16 MiB, or `undefined` where mounting is not allowed. */
function smallDisk(): string | undefined {
  const path = mkdtempSync(join(tmpdir(), 'millrace-small-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path], { stdio: 'ignore' });
    return path;
  } catch {
    rmSync(path, { recursive: true });
    return undefined;
  }
}

const disk = smallDisk();

test.skipIf(disk === undefined)('commits resume after space is freed', async () => {
  const path = disk as string;
  let broker: Broker | undefined;
  try {
    const ballast = join(path, 'ballast');
    writeFileSync(ballast, Buffer.alloc(5 << 20));
    broker = await openBroker(`file:${join(path, 'data')}`, realContext());
    await broker.createTopic({ name: 'out', partitions: 1, codec: 'utf8', role: 'source' });
    const member = await broker.join('g', { tasks: [{ id: 't' }], topology: '' });
    await member.tend();
    const open = broker;
    const commit = async (step: number): Promise<void> => {
      await member.commit({
        task: 't',
        epoch: 1,
        positions: [{ topic: 'in', partition: 0, offset: step }],
        meta: Buffer.from(String(step)),
        outputs: [
          { topic: 'out', partition: 0, frame: frameOf(`${step}`.padEnd(300_000, '.')) },
          { topic: 'out', partition: 0, frame: frameOf(`${step}'`) },
        ],
      });
    };
    const expectSteps = async (steps: number): Promise<void> => {
      const texts = (await textsOf(open, 'out')).map((text) => text.replaceAll('.', ''));
      expect(texts).toEqual(
        Array.from({ length: steps }, (_, i) => [`${i + 1}`, `${i + 1}'`]).flat(),
      );
      const task = (await open.describeGroup('g'))?.tasks[0];
      expect([task?.positions[0]?.offset, task?.epoch]).toEqual([steps, 1]);
      expect(Buffer.from(task?.meta as Uint8Array).toString()).toBe(String(steps));
    };
    let done = 0;
    let full: unknown;
    while (full === undefined && done < 1000)
      try {
        await commit(done + 1);
        done++;
      } catch (error) {
        full = error;
      }
    expect(MillraceError.is(full) && [full.code, full.retryable, full.domain]).toEqual([
      'MR_DISK_FULL',
      true,
      'external',
    ]);
    expect(done).toBeGreaterThan(5);
    await expectSteps(done);
    await expect(commit(done + 1)).rejects.toMatchObject({ code: 'MR_DISK_FULL' });
    await expectSteps(done);
    rmSync(ballast);
    for (let i = 0; i < 5; i++) await commit(++done);
    await expectSteps(done);
    await broker.close();
    broker = await openBroker(`file:${join(path, 'data')}`, realContext());
    expect(await broker.bounds('out', 0)).toEqual({ start: 0, end: 2 * done });
  } finally {
    await broker?.close();
    execFileSync('umount', ['-l', path]);
    rmSync(path, { recursive: true, force: true });
  }
});
