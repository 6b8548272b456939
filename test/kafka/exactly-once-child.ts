/**
 * Copies records from one topic to another, one commit for each frame, until it is killed or has come to the end. Joins the group of all who do, takes
 * the one task there is, and goes on where the one before was.
 *
 * Arguments: URL, group, from, to, own transactional id, those of the departed. Prints `claimed EPOCH OFFSET`, and `done` at the end.
 */
import { systemClock } from '../../src/core/clock.ts';
import { FrameBuilder } from '../../src/broker/frame-builder.ts';
import { Cluster } from '../../src/broker/kafka/cluster.ts';
import { Fetcher } from '../../src/broker/kafka/fetcher.ts';
import { FrameSender } from '../../src/broker/kafka/frame-sender.ts';
import { GroupSession } from '../../src/broker/kafka/group-session.ts';
import { loadKafka } from '../../src/broker/kafka/library.ts';
import { KafkaReader, listOffset } from '../../src/broker/kafka/reader.ts';
import { TaskRows } from '../../src/broker/kafka/task-rows.ts';
import { TransactionalProducer } from '../../src/broker/kafka/transactions.ts';
import { parseKafkaUrl } from '../../src/broker/kafka/url.ts';

const TASK = 'copy/0';

const [url = '', group = '', from = '', to = '', transactionalId = '', ...departed] =
  process.argv.slice(2);
const cluster = await Cluster.open(await loadKafka(), parseKafkaUrl(url), { clock: systemClock() });
const fetcher = new Fetcher(cluster);
const sender = new FrameSender(cluster, { compression: 'lz4' });
const producer = new TransactionalProducer(cluster, sender, { transactionalId });
await producer.open();
const session = new GroupSession(cluster, 'child', { group, sessionMs: 1000, rebalanceMs: 5000 });
await session.join({ topics: [from], data: Buffer.alloc(0) }, () => new Map());
const owner = { member: transactionalId, producer, offsets: session.owner };
const tasks = new TaskRows({ cluster, fetcher, sender, group, replication: 1 });
const { epoch, positions } = (await tasks.claim(owner, [TASK], departed)).get(TASK) ?? {
  epoch: 0,
  positions: [],
};
const start = positions[0]?.offset ?? 0;
process.stdout.write(`claimed ${epoch} ${start}\n`);
const beating = setInterval(() => void session.beat(), 200);
const reader = new KafkaReader(cluster, fetcher, { topic: from, partition: 0, from: start });
const end = await listOffset(cluster, from, 0, 'end');
for (let view = await reader.next(); view !== undefined; view = await reader.next()) {
  const builder = new FrameBuilder({ text: false, maxRecordBytes: Infinity });
  for (let i = Math.max(0, start - view.baseOffset); i < view.count; i++)
    builder.add(view.timestamp(i), view.key(i), view.value(i));
  await tasks.commit(owner, [
    {
      task: TASK,
      epoch,
      positions: [{ topic: from, partition: 0, offset: view.end }],
      meta: new Uint8Array(0),
      outputs: [{ topic: to, partition: 0, frame: builder.build() }],
    },
  ]);
}
clearInterval(beating);
if (reader.offset < end) throw new Error(`it ended at ${reader.offset} of ${end}`);
await session.leave();
await cluster.close();
process.stdout.write('done\n');
