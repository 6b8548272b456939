/**
 * Loads frames into `in` as a producer, copies them to `out` as a task, and cuts off the front of both, so that places in the file are
 * used again. What is acknowledged goes line by line to the file `acknowledged`; see {@link Told}. Ends by its own hand after so many lines.
 *
 * Run: `power-loss-child.ts <directory> <lines>`.
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import type { Outgoing } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { frameOf, realContext } from '../broker/log-over.ts';
import { FRAME_RECORDS, textAt } from './power-loss-content.ts';

/** Frames that each topic keeps, and how many are cut off at once. */
const KEPT_FRAMES = 40;
const CUT_FRAMES = 10;

const [directory = '', lines = ''] = process.argv.slice(2);
const broker = await openBroker(`file:${directory}`, realContext());
const acknowledged = openSync(join(directory, 'acknowledged'), 'a');
let left = Number(lines);

function say(line: string): void {
  writeSync(acknowledged, `${line}\n`);
  if (--left <= 0) process.kill(process.pid, 'SIGKILL');
}

for (const name of ['in', 'out']) {
  await broker.createTopic({ name, partitions: 1, codec: 'utf8', role: 'source' });
  say(`topic ${name}`);
}
await Promise.all([load(), copy()]);

async function cutFront(topic: string, end: number): Promise<void> {
  const frames = Math.floor(end / FRAME_RECORDS) - KEPT_FRAMES;
  if (frames <= 0 || frames % CUT_FRAMES !== 0) return;
  say(`cutting ${topic} ${frames * FRAME_RECORDS}`);
  say(`cut ${topic} ${await broker.truncate(topic, 0, frames * FRAME_RECORDS)}`);
}

async function load(): Promise<never> {
  const { epoch, sequence } = await broker.openProducer('loader');
  for (let next = sequence + 1; ; next++) {
    const first = (next - 1) * FRAME_RECORDS;
    const texts = Array.from({ length: FRAME_RECORDS }, (_, i) => textAt(first + i));
    await broker.append([{ topic: 'in', partition: 0, frame: frameOf(...texts) }], {
      id: 'loader',
      epoch,
      sequence: next,
      position: Buffer.from(String(next)),
    });
    say(`in ${next * FRAME_RECORDS}`);
    const copied = (await broker.bounds('out', 0)).end;
    // What is not copied yet is not cut off.
    await cutFront('in', copied);
  }
}

async function copy(): Promise<never> {
  const member = await broker.join('copier', { tasks: [{ id: 'copy/0' }], topology: '' });
  const [task] = (await member.tend()).gained;
  if (task === undefined) throw new Error('no task');
  const reader = broker.reader('in', 0, task.positions[0]?.offset ?? 0);
  for (;;) {
    const since = broker.changes();
    const outputs: Outgoing[] = [];
    for (let view = await reader.next(); view !== undefined; view = await reader.next()) {
      const texts = Array.from({ length: view.count }, (_, i) =>
        Buffer.from(view.value(i) as Uint8Array).toString(),
      );
      outputs.push({ topic: 'out', partition: 0, frame: frameOf(...texts) });
    }
    if (outputs.length === 0) {
      await broker.changed(since, 1000);
      continue;
    }
    await member.commit({
      task: task.id,
      epoch: task.epoch,
      positions: [{ topic: 'in', partition: 0, offset: reader.offset }],
      meta: Buffer.from(String(reader.offset)),
      outputs,
    });
    say(`out ${reader.offset}`);
    await cutFront('out', reader.offset);
  }
}
