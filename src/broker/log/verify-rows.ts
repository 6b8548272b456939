/**
 * Verifies the rows beside the frames: topics, groups, tasks, producers, checkpoints, and that nothing is left of what is gone.
 *
 * Each check is one stretch and sees one state of the store, but for the walk through table `state`, which looks up what belongs to whom
 * with every stretch.
 *
 * @module
 */
import { messageOf } from '../../core/errors.ts';
import type { KvReader } from '../../kv/kv.ts';
import type { StateCheck } from '../verify-report.ts';
import { decodeGarbage, isGarbage, type Garbage } from './expiry.ts';
import type { Findings } from './findings.ts';
import { STEP_BYTES } from './front.ts';
import { readGroup, readGroupNames, readMembers, readTask } from './group-rows.ts';
import { readEnds } from './partitions.ts';
import { decodeProducer } from './producers.ts';
import type { Pause } from './retention.ts';
import { decodeRow, isFrameKey, isPartitionKey, partitionKey, stateKey, textKey } from './rows.ts';
import { decodeTopic, lastIds, topicRows, type StoredTopic } from './topics.ts';

const STEP_ROWS = 10_000;
/** Keys of table `state` begin with the number of a state. */
const STATE_BYTES = 4;
const MAX_STATE_ID = 0xffff_ffff;
/** Behind a partition: more than any offset. */
const BEHIND_OFFSETS: Buffer = Buffer.alloc(9, 0xff);

/** Tables whose rows are few; those of the others are looked up where they are read. */
const smallTables = ['meta', 'ends', 'tasks', 'groups', 'members', 'listeners', 'producers'];

/** Reports rows that a walk comes upon and a look-up does not find, as damage between the pages of the store may leave them. */
export function verifyKeys(kv: KvReader, findings: Findings): void {
  for (const table of smallTables)
    for (const { key } of kv.range(table, {}))
      if (kv.get(table, key) === undefined)
        findings.error('row', `table ${table}`, `${textOf(key)} cannot be found by its key`);
}

function textOf(key: Uint8Array): string {
  const bytes = Buffer.from(key);
  const text = bytes.toString('utf8');
  return /^[\u0020-\u007e]+$/.test(text) ? text : bytes.toString('hex');
}

/** The last numbers given, if they can be read. */
type LastIds = ReturnType<typeof lastIds> | undefined;

/** Reports damaged rows of table `meta` that are about no topic, and returns the last numbers given. */
export function verifyMeta(kv: KvReader, findings: Findings): LastIds {
  findings.attempt('row', 'table meta', () => {
    for (const { key, value } of kv.range('meta', {})) {
      const name = Buffer.from(key).toString('utf8');
      if (/^(?:topic:|format$|ids$|changes$|listeners$)/.test(name)) continue;
      findings.attempt('row', name, () =>
        isGarbage(key) ? decodeGarbage(key, value) : decodeRow(value, () => `the row ${name}`),
      );
    }
  });
  return findings.attempt('row', 'last numbers given', () => lastIds(kv));
}

/** Reports damaged and contradicting rows of topics; returns those that can be read. */
export function verifyTopics(kv: KvReader, last: LastIds, findings: Findings): StoredTopic[] {
  const topics: StoredTopic[] = [];
  const names = new Map<number, string>();
  findings.attempt('row', 'topics', () => {
    for (const { name, row } of topicRows(kv)) {
      const topic = findings.attempt('row', `topic ${name}`, () => decodeTopic(row, name));
      if (topic === undefined) continue;
      topics.push(topic);
      const other = names.get(topic.id);
      names.set(topic.id, name);
      if (other !== undefined)
        findings.error('row', `topic ${name}`, `it has the same number as topic ${other}`);
      if (last !== undefined && topic.id > last.topic)
        findings.error('row', `topic ${name}`, `its number, ${topic.id}, was never given`);
    }
  });
  return topics;
}

/** Reports frames and ends that belong to no partition of a topic. */
export function verifyOwners(
  kv: KvReader,
  topics: readonly StoredTopic[],
  findings: Findings,
): void {
  const partitionsOf = new Map(topics.map(({ id, spec }) => [id, spec.partitions]));
  const garbage = new Set(notedGarbage(kv).flatMap((left) => left.topics));
  for (const { key } of kv.range('ends', {})) {
    if (!isPartitionKey(key)) {
      foreignKey('ends', key, findings);
      continue;
    }
    const [id, partition] = placeOfKey(key);
    if (partition >= (partitionsOf.get(id) ?? 0))
      findings.error('orphan', `ends of ${id}[${partition}]`, 'they belong to no topic');
  }
  // From one partition to the next: frames within are walked elsewhere.
  for (let from: Uint8Array = Buffer.of(0); ;) {
    const [entry] = [...kv.range('frames', { from, limit: 1 })];
    if (entry === undefined) return;
    const { key } = entry;
    if (isFrameKey(key)) {
      const [id, partition] = placeOfKey(key);
      if (partition >= (partitionsOf.get(id) ?? 0) && !garbage.has(id))
        findings.error('orphan', `frames of ${id}[${partition}]`, 'they belong to no topic');
      from = Buffer.concat([partitionKey(id, partition), BEHIND_OFFSETS]);
    } else {
      foreignKey('frames', key, findings);
      from = behind(key);
    }
  }
}

/** What is noted to be deleted. Notes that are damaged are reported with table `meta`. */
function notedGarbage(kv: KvReader): Garbage[] {
  const noted: Garbage[] = [];
  for (const { key, value } of kv.range('meta', {})) {
    if (!isGarbage(key)) continue;
    try {
      noted.push(decodeGarbage(key, value));
    } catch {
      // As above.
    }
  }
  return noted;
}

/** Damage between the pages of the store may leave the rows of one table in another. */
function foreignKey(table: string, key: Uint8Array, findings: Findings): void {
  findings.error('row', `table ${table}`, `${textOf(key)} is no key of this table`);
}

/** The first key that there can be behind another. */
function behind(key: Uint8Array): Buffer {
  return Buffer.concat([key, Buffer.of(0)]);
}

/** Reports damaged groups, tasks and producers, and positions outside of what is there. */
export function verifyGroups(
  kv: KvReader,
  topics: readonly StoredTopic[],
  last: LastIds,
  findings: Findings,
  state: StateCheck | undefined,
): void {
  const byName = new Map(topics.map((topic) => [topic.spec.name, topic]));
  for (const group of readGroupNames(kv)) {
    findings.counts.groups++;
    findings.attempt('row', `group ${group}`, () => readGroup(kv, group));
    findings.attempt('row', `members of group ${group}`, () => readMembers(kv, group));
  }
  const groups = new Set(readGroupNames(kv));
  const owners = new Map<number, string>();
  for (const { group, task: id } of taskNames(kv)) {
    findings.counts.tasks++;
    const place = `task ${id} of group ${group}`;
    const task = findings.attempt('row', place, () => readTask(kv, group, id));
    if (task === undefined) continue;
    const { stateId, positions } = task;
    if (!groups.has(group)) findings.error('orphan', place, 'there is no such group');
    const other = owners.get(stateId);
    owners.set(stateId, place);
    if (other !== undefined) findings.error('row', place, `it shares its state with ${other}`);
    if (last !== undefined && stateId > last.state)
      findings.error('row', place, `the number of its state, ${stateId}, was never given`);
    for (const position of positions) {
      const where = `position of ${place} in ${position.topic}[${position.partition}]`;
      verifyPosition(kv, byName.get(position.topic), position, where, findings);
    }
    const changelog = state?.changelogOf(group, id);
    const topic = changelog === undefined ? undefined : byName.get(changelog.topic);
    if (state === undefined || changelog === undefined || topic === undefined) continue;
    try {
      const { start, end } = readEnds(kv, topic, changelog.partition);
      const at = state.position(kv, stateId);
      if (!(at >= start && at <= end))
        findings.error(
          'checkpoint',
          place,
          `its checkpoint stands at ${at}, its changelog reaches from ${start} to ${end}`,
        );
    } catch (error) {
      findings.error('checkpoint', place, messageOf(error));
    }
  }
  for (const { key, value } of kv.range('producers', {})) {
    findings.counts.producers++;
    const id = Buffer.from(key).toString('utf8');
    findings.attempt('row', `producer ${id}`, () => decodeProducer(value, id));
  }
}

function verifyPosition(
  kv: KvReader,
  topic: StoredTopic | undefined,
  { partition, offset }: { readonly partition: number; readonly offset: number },
  where: string,
  findings: Findings,
): void {
  if (topic === undefined || partition >= topic.spec.partitions) {
    findings.error('position', where, 'there is no such partition');
    return;
  }
  // A damaged row is reported with its partition.
  let ends: { readonly start: number; readonly end: number };
  try {
    ends = readEnds(kv, topic, partition);
  } catch {
    return;
  }
  const { start, end } = ends;
  if (offset > end)
    findings.error('position', where, `it is ${offset}, behind the end of the partition, ${end}`);
  else if (offset < start && topic.spec.role === 'source')
    findings.warn(
      'lost',
      where,
      `it is ${offset}, and what lies below ${start} has been deleted: the task will stop with MR_OFFSET_LOST`,
    );
  else if (offset < start)
    findings.error('lost', where, `it is ${offset}, but the partition begins at ${start}`);
}

/** Reports rows of table `state` that belong to nobody, and what the layer above finds wrong with the others. */
export async function verifyState(
  kv: KvReader,
  findings: Findings,
  state: StateCheck | undefined,
  pause: Pause,
): Promise<void> {
  for (let from: Uint8Array | undefined = Buffer.of(0); ;) {
    const begin: Uint8Array = from;
    from = findings.attempt('checkpoint', 'table state', () =>
      verifyStates(kv, findings, state, begin),
    );
    if (from === undefined) return;
    await pause();
  }
}

/** One stretch of table `state` from a key on. Returns where the next one begins, `undefined` at the end. */
function verifyStates(
  kv: KvReader,
  findings: Findings,
  state: StateCheck | undefined,
  from: Uint8Array,
): Uint8Array | undefined {
  const known = knownStates(kv);
  let rows = 0;
  let bytes = 0;
  for (const { key, value } of kv.range('state', { from })) {
    if (key.length < STATE_BYTES) foreignKey('state', key, findings);
    else {
      const stateId = Buffer.from(key.buffer, key.byteOffset, key.length).readUInt32BE(0);
      if (!known.has(stateId)) {
        findings.error('orphan', `state ${stateId}`, 'its rows belong to no task');
        return stateId < MAX_STATE_ID ? stateKey(stateId + 1) : undefined;
      }
      findings.counts.stateRows++;
      if (kv.get('state', key) === undefined)
        findings.error('checkpoint', `state ${stateId}`, 'a row cannot be found by its key');
      const wrong = state?.defectOf(key, value);
      if (wrong !== undefined)
        findings.error('checkpoint', `state ${stateId}`, `a row is damaged: ${wrong}`);
    }
    bytes += key.length + value.length;
    if (++rows >= STEP_ROWS || bytes > STEP_BYTES) return behind(key);
  }
  return undefined;
}

function knownStates(kv: KvReader): Set<number> {
  const known = new Set(notedGarbage(kv).flatMap((left) => left.states));
  for (const { group, task } of taskNames(kv)) {
    try {
      known.add(readTask(kv, group, task)?.stateId ?? 0);
    } catch {
      // Reported with the tasks. Whose state it was cannot be told: its rows will be reported too.
    }
  }
  return known;
}

function* taskNames(kv: KvReader): Generator<{ readonly group: string; readonly task: string }> {
  for (const { key } of kv.range('tasks', { from: textKey('\u0000') })) {
    const [group = '', task = ''] = Buffer.from(key).toString('utf8').split('\u0000');
    yield { group, task };
  }
}

/** Topic id and partition of a key of `frames` or `ends`. */
function placeOfKey(key: Uint8Array): [id: number, partition: number] {
  const bytes = Buffer.from(key.buffer, key.byteOffset, key.length);
  return [bytes.readUInt32BE(0), bytes.readUInt16BE(4)];
}
