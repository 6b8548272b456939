/**
 * Works until it is killed: loads numbered frames into `in` as producer `loader`, and copies them to `out` as a task.
 * Says what was acknowledged, one line each: `in <sequence>` and `out <position>`.
 *
 * Run: `broker-crash-child.ts <directory>`.
 */
import { writeSync } from 'node:fs';

import type { Outgoing } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { frameOf, realContext } from '../broker/log-over.ts';

const broker = await openBroker(`file:${process.argv[2] ?? ''}`, realContext());
for (const name of ['in', 'out'])
  await broker.createTopic({ name, partitions: 1, codec: 'utf8', role: 'source' });

await Promise.all([load(), copy()]);

async function load(): Promise<never> {
  const { epoch, sequence, position } = await broker.openProducer('loader');
  const saved = position === undefined ? '0' : Buffer.from(position).toString();
  if (saved !== String(sequence)) throw new Error(`position ${saved} with sequence ${sequence}`);
  for (let next = sequence + 1; ; next++) {
    const frame = frameOf(`${next}.0`, `${next}.1`, `${next}.2`);
    await broker.append([{ topic: 'in', partition: 0, frame }], {
      id: 'loader',
      epoch,
      sequence: next,
      position: Buffer.from(String(next)),
    });
    writeSync(1, `in ${next}\n`);
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
    writeSync(1, `out ${reader.offset}\n`);
  }
}
