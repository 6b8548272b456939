/**
 * Loads frames into `in` as a producer, copies them to `out` as a task with a table, and cuts off the front of both, so that places in the file are
 * used again. Meanwhile checkpoints are taken of the table, a topic is compacted, and the store is copied; now and then it is closed and its file made
 * smaller. What is acknowledged goes line by line to the file `acknowledged`; see {@link Told}. Ends by its own hand after so many lines.
 *
 * Run: `power-loss-child.ts <directory> <lines>`.
 */
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { backupDirectory, compactDirectory } from '../../src/broker/backup.ts';
import type { Broker, Outgoing } from '../../src/broker/broker.ts';
import { openBroker } from '../../src/broker/open.ts';
import { checkpointStep } from '../../src/state/checkpoint.ts';
import { frameOf, realContext } from '../broker/log-over.ts';
import {
  backupName,
  changesOf,
  CHANGELOG,
  COMPACTED,
  FRAME_RECORDS,
  keysFrom,
  STORE,
  textAt,
} from './power-loss-content.ts';

/** Frames that each topic keeps, and how many are cut off at once. */
const KEPT_FRAMES = 40;
const CUT_FRAMES = 10;
/** Frames that are loaded between two openings of the store. */
const ROUND_FRAMES = 60;
/** Commits between two checkpoints, and frames of the topic that is compacted between two times. */
const CHECKPOINT_COMMITS = 8;
const COMPACT_FRAMES = 6;

const [directory = '', lines = ''] = process.argv.slice(2);
const url = `file:${join(directory, STORE)}`;
const acknowledged = openSync(join(directory, 'acknowledged'), 'a');
let left = Number(lines);

function say(line: string): void {
  writeSync(acknowledged, `${line}\n`);
  if (--left <= 0) process.kill(process.pid, 'SIGKILL');
}

/** What is done between two openings of the store. */
class Round {
  readonly #broker: Broker;
  readonly #number: number;
  #loaded = 0;

  constructor(broker: Broker, number: number) {
    this.#broker = broker;
    this.#number = number;
  }

  async run(): Promise<void> {
    for (const [name, role, compact] of [
      ['in', 'source', false],
      ['out', 'source', false],
      [CHANGELOG, 'changelog', false],
      [COMPACTED, 'source', true],
    ] as const) {
      const keep =
        role === 'source' ? { retentionMs: null, retentionBytes: null, compact } : undefined;
      await this.#broker.createTopic({ name, partitions: 1, codec: 'utf8', role, keep });
      say(`topic ${name}`);
    }
    const copied = this.#copy();
    await Promise.all([this.#load(), this.#compact(), this.#backUp(), copied]);
  }

  async #end(topic: string): Promise<number> {
    return (await this.#broker.bounds(topic, 0)).end;
  }

  async #cutFront(topic: string, end: number): Promise<void> {
    const frames = Math.floor(end / FRAME_RECORDS) - KEPT_FRAMES;
    if (frames <= 0 || frames % CUT_FRAMES !== 0) return;
    say(`cutting ${topic} ${frames * FRAME_RECORDS}`);
    say(`cut ${topic} ${await this.#broker.truncate(topic, 0, frames * FRAME_RECORDS)}`);
  }

  async #load(): Promise<void> {
    const { epoch, sequence } = await this.#broker.openProducer('loader');
    for (; this.#loaded < ROUND_FRAMES; this.#loaded++) {
      const next = sequence + 1 + this.#loaded;
      const first = (next - 1) * FRAME_RECORDS;
      const texts = Array.from({ length: FRAME_RECORDS }, (_, i) => textAt(first + i));
      await this.#broker.append([{ topic: 'in', partition: 0, frame: frameOf(...texts) }], {
        id: 'loader',
        epoch,
        sequence: next,
        position: Buffer.from(String(next)),
      });
      say(`end in ${next * FRAME_RECORDS}`);
      // What is not copied yet is not cut off.
      await this.#cutFront('in', await this.#end('out'));
    }
  }

  async #copy(): Promise<void> {
    const member = await this.#broker.join('copier', { tasks: [{ id: 'copy/0' }], topology: '' });
    const [task] = (await member.tend()).gained;
    if (task === undefined) throw new Error('no task');
    const reader = this.#broker.reader('in', 0, task.positions[0]?.offset ?? 0);
    for (let commits = 1; this.#loaded < ROUND_FRAMES || reader.offset < (await this.#end('in'));) {
      const since = this.#broker.changes();
      const outputs: Outgoing[] = [];
      const from = reader.offset;
      for (let view = await reader.next(); view !== undefined; view = await reader.next()) {
        const texts = Array.from({ length: view.count }, (_, i) =>
          Buffer.from(view.value(i) as Uint8Array).toString(),
        );
        outputs.push({ topic: 'out', partition: 0, frame: frameOf(...texts) });
      }
      if (outputs.length === 0) {
        await this.#broker.changed(since, 100);
        continue;
      }
      const changes = changesOf(from / FRAME_RECORDS, reader.offset / FRAME_RECORDS);
      outputs.push({ topic: CHANGELOG, partition: 0, frame: changes });
      await member.commit({
        task: task.id,
        epoch: task.epoch,
        positions: [{ topic: 'in', partition: 0, offset: reader.offset }],
        meta: Buffer.from(String(reader.offset)),
        outputs,
      });
      say(`end out ${reader.offset}`);
      if (commits++ % CHECKPOINT_COMMITS === 0) await this.#checkpoint(task.stateId);
      await this.#cutFront('out', reader.offset);
    }
    await member.leave();
  }

  async #checkpoint(stateId: number): Promise<void> {
    let step = await checkpointStep(this.#broker, CHANGELOG, 0, stateId);
    while (!step.complete) step = await checkpointStep(this.#broker, CHANGELOG, 0, stateId);
    say(`checkpoint ${step.position}`);
  }

  async #compact(): Promise<void> {
    for (let frames = 1; this.#loaded < ROUND_FRAMES; frames++) {
      const end = await this.#end(COMPACTED);
      await this.#broker.append([{ topic: COMPACTED, partition: 0, frame: keysFrom(end) }]);
      say(`end ${COMPACTED} ${end + FRAME_RECORDS}`);
      if (frames % COMPACT_FRAMES > 0) continue;
      await this.#broker.maintain();
      say('maintained');
    }
  }

  async #backUp(): Promise<void> {
    while (this.#loaded < ROUND_FRAMES / 3) await this.#broker.changed(this.#broker.changes(), 100);
    const ends: Record<string, number> = {};
    for (const topic of ['in', 'out', COMPACTED]) ends[topic] = await this.#end(topic);
    const name = backupName(this.#number);
    const compact = this.#number % 2 === 0;
    await backupDirectory(url, join(directory, name), realContext(), { compact });
    say(`backup ${name} ${JSON.stringify(ends)}`);
  }
}

for (let round = 1; ; round++) {
  const broker = await openBroker(url, realContext());
  await new Round(broker, round).run();
  await broker.close();
  await compactDirectory(url);
  say('smaller');
}
