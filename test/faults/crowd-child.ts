/**
 * Appends to a partition of its own and copies it to another as a task, both as fast as it goes, and prints one line: `counted`, appends and
 * commits that were acknowledged in time, records. Any error ends it.
 *
 * Run: `crowd-child.ts <directory> <partition> <ms>`. Says `ready`, and begins with the first line on the standard input.
 */
import { once } from 'node:events';
import { writeSync } from 'node:fs';

import type { Outgoing } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { systemClock } from '../../src/core/clock.ts';
import { frameOf, realContext } from '../broker/log-over.ts';

const FRAME_RECORDS = 10;
/** Records that the copy may be behind. */
const MAX_LEAD = 2_000;

const [directory = '', partitionText = '', ms = ''] = process.argv.slice(2);
const partition = Number(partitionText);
const clock = systemClock();
const broker = await openBroker(`file:${directory}`, realContext());
const member = await broker.join(`copier-${partition}`, { tasks: [{ id: 'copy' }], topology: '' });
const [task] = (await member.tend()).gained;
if (task === undefined) throw new Error('no task');
const { id, epoch } = task;
writeSync(1, 'ready\n');
await once(process.stdin, 'data');
process.stdin.destroy();

const until = clock.monotonic() + Number(ms);
let [commits, sent, copied] = [0, 0, 0];
let goOn = (): void => undefined;
await Promise.all([load(), copy()]);
process.stdout.write(`counted ${commits} ${copied}\n`);
await member.leave();
await broker.close();

async function load(): Promise<void> {
  while (clock.monotonic() < until) {
    if (sent - copied > MAX_LEAD) await new Promise<void>((resolve) => (goOn = resolve));
    const texts = Array.from({ length: FRAME_RECORDS }, (_, i) => `${partition}/${sent + i}`);
    await broker.append([{ topic: 'in', partition, frame: frameOf(...texts) }]);
    sent += FRAME_RECORDS;
    if (clock.monotonic() < until) commits++;
  }
}

async function copy(): Promise<void> {
  const reader = broker.reader('in', partition, 0);
  while (clock.monotonic() < until || copied < sent) {
    const since = broker.changes();
    const outputs: Outgoing[] = [];
    for (let view = await reader.next(); view !== undefined; view = await reader.next()) {
      const texts = Array.from({ length: view.count }, (_, i) =>
        Buffer.from(view.value(i) as Uint8Array).toString(),
      );
      outputs.push({ topic: 'out', partition, frame: frameOf(...texts) });
    }
    if (outputs.length === 0) {
      await broker.changed(since, 20);
      continue;
    }
    const positions = [{ topic: 'in', partition, offset: reader.offset }];
    await member.commit({ task: id, epoch, positions, meta: new Uint8Array(0), outputs });
    if (clock.monotonic() < until) commits++;
    copied = reader.offset;
    goOn();
  }
}
