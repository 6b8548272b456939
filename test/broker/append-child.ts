/** A process that appends `count` frames of three records each to topic `t`: `append-child.ts <directory> <name> <count>`. */
import { openBroker } from '../../src/broker/open.ts';
import { frameOf, realContext } from './log-over.ts';

const [directory = '', name = '', count = '0'] = process.argv.slice(2);
const broker = await openBroker(`file:${directory}`, realContext());
for (let i = 0; i < Number(count); i++) {
  const frame = frameOf(`${name}${i}.0`, `${name}${i}.1`, `${name}${i}.2`);
  await broker.append([{ topic: 't', partition: i % 2, frame }]);
}
await broker.close();
