/**
 * A random run of a broker beside a model of arrays and maps. What the model refuses the broker must refuse with the same
 * code; what both accept must read the same afterwards.
 *
 * @module
 */
import assert from 'node:assert/strict';

import type { Broker, Membership, Outgoing, Placed, Position } from '../../../broker/broker.ts';
import { controlFrame, FrameBuilder } from '../../../broker/frame-builder.ts';
import type { VirtualClock } from '../../../core/clock.ts';
import type { Random } from '../../../core/random.ts';

const STEPS = 400;
const TOPICS = ['one', 'two'];
const PARTITIONS = 2;
const TASKS = ['a', 'b', 'c', 'd', 'e'];
const MEMBERS = 4;

interface ModelPartition {
  start: number;
  receivedAt: number;
  /** Text of every record ever appended; `null` for a control frame. */
  readonly records: (string | null)[];
  /** Where each frame begins, and the end. */
  readonly bases: number[];
}

interface ModelTask {
  epoch: number;
  owner: Membership | undefined;
  positions: readonly Position[];
  meta: string | undefined;
}

/** Takes {@link STEPS} random steps. @throws AssertionError when broker and model differ. */
export async function runModel(
  opened: { readonly broker: Broker; readonly reopen: () => Promise<Broker> },
  clock: VirtualClock,
  random: Random,
): Promise<void> {
  const brokers = [opened.broker, await opened.reopen()];
  const partitions = new Map<string, ModelPartition>();
  const tasks = new Map(TASKS.map((id): [string, ModelTask] => [id, unownedTask()]));
  const members: Membership[] = [];
  let producer = { epoch: 0, sequence: 0, position: undefined as string | undefined };
  let written = 0;

  const pick = <T>(items: readonly T[]): T => items[random.below(items.length)] as T;
  const broker = (): Broker => pick(brokers);
  const partitionOf = (topic: string, partition: number): ModelPartition =>
    partitions.get(`${topic}/${partition}`) as ModelPartition;

  for (const name of TOPICS) {
    await broker().createTopic({ name, partitions: PARTITIONS, codec: 'utf8', role: 'source' });
    for (let partition = 0; partition < PARTITIONS; partition++)
      partitions.set(`${name}/${partition}`, { start: 0, receivedAt: 0, records: [], bases: [0] });
  }

  const makeFrames = (): { outgoing: Outgoing[]; texts: (string | null)[][] } => {
    const outgoing: Outgoing[] = [];
    const texts: (string | null)[][] = [];
    for (let n = random.below(4); n >= 0; n--) {
      const target = { topic: pick(TOPICS), partition: random.below(PARTITIONS) };
      if (random.below(8) === 0) {
        texts.push([null]);
        outgoing.push({ ...target, frame: controlFrame({ upstream: 0, streamTime: 1 }, false) });
        continue;
      }
      const builder = new FrameBuilder({ text: false, maxRecordBytes: 1 << 20 });
      const frame = Array.from({ length: 1 + random.below(5) }, () => `v${written++}`);
      for (const text of frame) builder.add(written, null, Buffer.from(text));
      texts.push(frame);
      outgoing.push({ ...target, frame: builder.build() });
    }
    return { outgoing, texts };
  };
  const accept = (
    outgoing: readonly Outgoing[],
    texts: readonly (readonly (string | null)[])[],
    placed: readonly Placed[] | undefined,
  ): void => {
    assert.equal(placed?.length, outgoing.length);
    for (const [i, { topic, partition }] of outgoing.entries()) {
      const model = partitionOf(topic, partition);
      assert.equal(placed[i]?.baseOffset, model.records.length);
      model.receivedAt = Math.max(model.receivedAt, clock.now());
      assert.equal(placed[i]?.receivedAt, model.receivedAt);
      model.records.push(...(texts[i] as (string | null)[]));
      model.bases.push(model.records.length);
    }
  };

  const steps: (() => Promise<void>)[] = [
    async function append() {
      const { outgoing, texts } = makeFrames();
      accept(outgoing, texts, await broker().append(outgoing));
    },
    async function appendSeveralAtOnce() {
      const all = Array.from({ length: 1 + random.below(4) }, makeFrames);
      const one = broker();
      const placed = await Promise.all(all.map(({ outgoing }) => one.append(outgoing)));
      for (const [i, { outgoing, texts }] of all.entries()) accept(outgoing, texts, placed[i]);
    },
    async function join() {
      if (members.length === MEMBERS) return;
      members.push(await broker().join('g', { tasks: TASKS.map((id) => ({ id })), topology: 'T' }));
    },
    async function tend() {
      const member = pick(members);
      if (member === undefined) return;
      const { gained, revoked, lost } = await member.tend();
      for (const task of gained) {
        const model = tasks.get(task.id) as ModelTask;
        assert.equal(model.owner, undefined, 'only what is free is given');
        model.owner = member;
        model.epoch++;
        compareTask(task, model);
      }
      assert.deepEqual(lost, [], 'nothing is lost while leases last');
      for (const id of revoked) assert.equal(tasks.get(id)?.owner, member);
      const given = revoked.filter(() => random.below(2) === 0);
      await member.release(given);
      for (const id of given) (tasks.get(id) as ModelTask).owner = undefined;
    },
    async function leave() {
      if (random.below(4) !== 0 || members.length === 0) return;
      const [member] = members.splice(random.below(members.length), 1) as [Membership];
      await member.leave();
      for (const model of tasks.values()) if (model.owner === member) model.owner = undefined;
    },
    async function commit() {
      const member = pick(members);
      if (member === undefined) return;
      const task = pick(TASKS);
      const model = tasks.get(task) as ModelTask;
      const epoch = model.epoch - (random.below(4) === 0 ? 1 : 0);
      const { outgoing, texts } = makeFrames();
      const offset = random.below(1000);
      const positions = [{ topic: pick(TOPICS), partition: random.below(PARTITIONS), offset }];
      const meta = Buffer.from(`m${written}`);
      const call = member.commit({ task, epoch, positions, meta, outputs: outgoing });
      if (epoch !== model.epoch || model.owner !== member) {
        await assert.rejects(call, { code: 'MR_FENCED' });
        return;
      }
      accept(outgoing, texts, await call);
      model.positions = positions;
      model.meta = meta.toString();
    },
    async function produce() {
      if (producer.epoch === 0 || random.below(4) === 0) {
        const there = await broker().openProducer('p');
        const position =
          there.position === undefined ? undefined : Buffer.from(there.position).toString();
        producer = { ...producer, epoch: producer.epoch + 1 };
        assert.deepEqual({ ...there, position }, producer);
        return;
      }
      const epoch = producer.epoch - (random.below(4) === 0 ? 1 : 0);
      const sequence = Math.max(1, producer.sequence + 1 + pick([0, 0, 0, -1, 1]));
      const position = `p${written}`;
      const { outgoing, texts } = makeFrames();
      const call = broker().append(outgoing, {
        id: 'p',
        epoch,
        sequence,
        position: Buffer.from(position),
      });
      if (epoch !== producer.epoch) await assert.rejects(call, { code: 'MR_FENCED' });
      else if (sequence > producer.sequence + 1)
        await assert.rejects(call, { code: 'MR_ARGUMENT_INVALID' });
      else if (sequence <= producer.sequence) assert.equal(await call, undefined);
      else {
        accept(outgoing, texts, await call);
        producer = { epoch, sequence, position };
      }
    },
    async function truncate() {
      if (random.below(4) !== 0) return;
      const topic = pick(TOPICS);
      const partition = random.below(PARTITIONS);
      const model = partitionOf(topic, partition);
      const before = random.below(model.records.length + 2);
      const start = await broker().truncate(topic, partition, before);
      model.start = model.bases.findLast((base) => base <= Math.max(before, model.start)) as number;
      assert.equal(start, model.start);
    },
    async function read() {
      const topic = pick(TOPICS);
      const partition = random.below(PARTITIONS);
      const model = partitionOf(topic, partition);
      const end = model.records.length;
      assert.deepEqual(await broker().bounds(topic, partition), { start: model.start, end });
      await compareRecords(broker(), topic, partition, model, random.below(end + 1));
    },
    async function jump() {
      clock.jump(random.below(2000) - 900);
    },
  ];

  for (let i = 0; i < STEPS; i++) await pick(steps)();

  for (const one of brokers) {
    for (const topic of TOPICS)
      for (let partition = 0; partition < PARTITIONS; partition++) {
        const model = partitionOf(topic, partition);
        await compareRecords(one, topic, partition, model, model.start);
      }
    const stored = (await one.describeGroup('g'))?.tasks ?? [];
    assert.equal(stored.length, tasks.size);
    for (const task of stored) {
      const model = tasks.get(task.id) as ModelTask;
      compareTask(task, model);
      assert.equal(task.owner, model.owner?.member ?? null);
    }
  }
}

function unownedTask(): ModelTask {
  return { epoch: 0, owner: undefined, positions: [], meta: undefined };
}

async function compareRecords(
  broker: Broker,
  topic: string,
  partition: number,
  model: ModelPartition,
  from: number,
): Promise<void> {
  const reader = broker.reader(topic, partition, from);
  if (from < model.start) {
    await assert.rejects(async () => await reader.next(), { code: 'MR_OFFSET_LOST' });
    return;
  }
  let at = from;
  for (let view = await reader.next(); view !== undefined; view = await reader.next()) {
    assert.ok(view.baseOffset <= at && at < view.end, 'the frame holds the offset');
    for (; at < view.end; at++) {
      const value: Uint8Array | null = view.control ? null : view.value(at - view.baseOffset);
      assert.equal(value === null ? null : Buffer.from(value).toString(), model.records[at]);
    }
  }
  assert.equal(at, model.records.length);
}

function compareTask(
  task: {
    readonly epoch: number;
    readonly positions: readonly Position[];
    readonly meta: Uint8Array | undefined;
  },
  model: ModelTask,
): void {
  assert.equal(task.epoch, model.epoch);
  assert.deepEqual(task.positions, model.positions);
  assert.equal(task.meta === undefined ? undefined : Buffer.from(task.meta).toString(), model.meta);
}
