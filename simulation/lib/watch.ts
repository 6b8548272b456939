/**
 * What must be so after every commit, whatever the app: looked at row by row as it becomes durable, with a memory of its own of what was there
 * before. It shares nothing with the code under test but the layout of rows and frames.
 *
 * @module
 */
import { FrameView } from '../../src/broker/frame-view.ts';
import { decodeEnds, decodeRow, homeOf } from '../../src/broker/log/rows.ts';
import type { Position, TopicSpec } from '../../src/broker/broker.ts';
import type { Overlay } from '../../src/kv/overlay.ts';
import { decodeMeta } from '../../src/runtime/meta.ts';
import type { TaskMeta } from '../../src/runtime/meta.ts';
import { changelogTopic } from '../../src/topology/topology.ts';
import { Compacted } from './compacted.ts';
import type { WrittenFrame } from './compacted.ts';
import { Fold } from './fold.ts';
import type { Machine } from './machine.ts';
import { Reigns } from './reigns.ts';
import { Violation } from './violation.ts';

export interface SeenTopic {
  readonly name: string;
  readonly id: number;
  readonly spec: TopicSpec;
}

interface SeenPartition {
  readonly topic: SeenTopic;
  readonly partition: number;
  start: number;
  end: number;
  /** Of a topic that is compacted. */
  compacted: Compacted | undefined;
  /** Of a topic whose records have an age: when its frames came. */
  readonly received: { readonly end: number; readonly atMs: number }[];
}

/** The last that was seen of a task. */
export interface SeenTask {
  readonly id: string;
  readonly epoch: number;
  readonly owner: string | null;
  readonly stateId: number;
  readonly positions: readonly Position[];
  readonly meta: TaskMeta | undefined;
}

/** What a scenario looks at. */
export interface WatchEvents {
  /** Records have become visible. */
  readonly appended: (topic: SeenTopic, frame: FrameView, partition: number) => void;
  /** A line for the story; called only if it is told. */
  readonly tell: ((line: string) => void) | undefined;
}

export class Watch {
  readonly tasks: Map<string, SeenTask> = new Map();
  readonly folds: Map<string, Fold> = new Map();
  readonly reigns: Reigns = new Reigns();
  readonly #events: WatchEvents;
  readonly #topics = new Map<number, SeenTopic>();
  readonly #byName = new Map<string, SeenTopic>();
  readonly #partitions = new Map<number, SeenPartition>();
  /** Which process brought a member into the world. */
  readonly #members = new Map<string, number>();
  /** Members that are in the group. */
  readonly #present = new Set<string>();
  /** Who has committed a task under an epoch. */
  readonly #committers = new Map<string, number>();
  readonly #producers = new Map<string, { epoch: number; sequence: number }>();
  readonly #rounds = new Map<string, number>();
  readonly #checkpoints = new Map<number, { position: number; writes: number }>();

  constructor(events: WatchEvents) {
    this.#events = events;
  }

  /** How many commits there were. */
  commits = 0;

  committed(writes: Overlay, by: Machine): void {
    this.commits++;
    const ends: [string, Uint8Array][] = [];
    const frames: [string, Uint8Array | undefined][] = [];
    const tasks: [string, Uint8Array][] = [];
    const heads: [string, Uint8Array][] = [];
    writes.forEach((table, name, value) => {
      if (table === 'frames') frames.push([name, value]);
      else if (table === 'ends' && value !== undefined) ends.push([name, value]);
      else if (table === 'tasks' && value !== undefined) tasks.push([name, value]);
      else if (table === 'state' && name.length === 5 && value !== undefined)
        heads.push([name, value]);
      else if (table === 'meta' && value !== undefined && name.startsWith('topic:'))
        this.#topic(name, value);
      else if (table === 'members') this.#member(name, value, by);
      else if (table === 'producers' && value !== undefined) this.#producer(name, value);
      else if (table === 'groups' && value !== undefined) this.#group(name, value);
    });
    for (const [name, value] of ends) this.#end(name, value);
    if (frames.length > 0) this.#frames(frames);
    for (const [name, value] of tasks) this.#task(name, value, by);
    for (const [name, value] of heads) this.#checkpoint(name, value);
    if (ends.length > 0) this.#floors(ends, by);
  }

  /** Whether every task has committed everything there is to read. */
  get lag(): number {
    let lag = 0;
    for (const { positions } of this.tasks.values()) {
      // It has not said yet where it stands.
      if (positions.length === 0) lag++;
      for (const { topic, partition, offset } of positions)
        lag += this.endOf(topic, partition) - offset;
    }
    return lag;
  }

  /** The fold of a task's changelog, if it has written one. */
  foldOf(task: string): Fold | undefined {
    const slash = task.lastIndexOf('/');
    for (const topic of this.#topics.values())
      if (topic.name === changelogTopic(topic.spec.owner ?? '', task.slice(0, slash)))
        return this.folds.get(`${topic.name}${task.slice(slash)}`);
    return undefined;
  }

  ownerOf(task: string): string | null | undefined {
    for (const { id, owner } of this.tasks.values()) if (id === task) return owner;
    return undefined;
  }

  endOf(topic: string, partition: number): number {
    const seen = this.#byName.get(topic);
    return (seen && this.#partitions.get(numberOf(seen.id, partition))?.end) ?? 0;
  }

  #topic(name: string, value: Uint8Array): void {
    const { head } = decodeRow(value, () => name);
    const { id, ...rest } = head as Omit<TopicSpec, 'name'> & { readonly id: number };
    const topic: SeenTopic = { name: name.slice(6), id, spec: { name: name.slice(6), ...rest } };
    this.#topics.set(id, topic);
    this.#byName.set(topic.name, topic);
  }

  #end(name: string, value: Uint8Array): void {
    const id = wordOf(name, 0);
    const number = partitionOf(name);
    const partition = number % 65_536;
    const topic = this.#topics.get(id);
    if (topic === undefined)
      throw new Violation('topics', `ends of topic ${id}, which is not there`);
    const { start, end } = decodeEnds(value, () => `the ends of ${topic.name}[${partition}]`);
    const before = this.#partitions.get(number);
    if (before === undefined) {
      if (start !== 0 || end !== 0)
        throw new Violation(
          'offsets',
          `${topic.name}[${partition}] begins with ${start} to ${end}`,
        );
      this.#partitions.set(number, {
        topic,
        partition,
        start,
        end,
        compacted: undefined,
        received: [],
      });
      return;
    }
    if (end < before.end || start < before.start || start > end)
      throw new Violation(
        'offsets',
        `${topic.name}[${partition}] went from ${before.start}..${before.end} to ${start}..${end}`,
      );
    before.start = start;
    // The end is that of the frames, which are looked at next.
    this.#expected.set(number, end);
  }

  readonly #expected = new Map<number, number>();

  #frames(frames: [string, Uint8Array | undefined][]): void {
    if (frames.length > 1) frames.sort(([a], [b]) => (a < b ? -1 : 1));
    const rewritten = new Map<SeenPartition, WrittenFrame[]>();
    for (const [name, value] of frames) {
      const number = partitionOf(name);
      const base = wordOf(name, 6) * 2 ** 32 + wordOf(name, 10);
      const seen = this.#partitions.get(number);
      if (seen === undefined) throw new Violation('topics', 'a frame of no partition');
      const { topic, partition } = seen;
      const { keep } = topic.spec;
      // Compaction writes frames anew where they were.
      if (base < seen.end && keep?.compact === true && base >= seen.start) {
        const home = homeOf(topic.id, partition);
        const frame = value && FrameView.open(value, topic.name, partition, base, home);
        const list = rewritten.get(seen);
        if (list === undefined) rewritten.set(seen, [{ base, frame }]);
        else list.push({ base, frame });
        continue;
      }
      if (value === undefined) continue;
      if (base !== seen.end)
        throw new Violation(
          'offsets',
          `a frame of ${topic.name}[${partition}] begins at ${base}, the one before ended at ${seen.end}`,
        );
      const frame = FrameView.open(value, topic.name, partition, base, homeOf(topic.id, partition));
      seen.end = frame.end;
      if (topic.spec.role === 'changelog') this.#fold(topic, partition).apply(frame);
      if (keep?.compact === true) {
        seen.compacted ??= new Compacted(`${topic.name}[${partition}]`);
        seen.compacted.appended(frame);
      }
      if (typeof keep?.retentionMs === 'number')
        seen.received.push({ end: frame.end, atMs: frame.receivedAt });
      if (!frame.control) this.#events.appended(topic, frame, partition);
    }
    for (const [{ compacted }, written] of rewritten) compacted?.rewritten(written);
    for (const [number, end] of this.#expected) {
      const seen = this.#partitions.get(number);
      if (seen !== undefined && seen.end !== end)
        throw new Violation(
          'offsets',
          `${seen.topic.name}[${seen.partition}] ends at ${end}, its frames at ${seen.end}`,
        );
    }
    this.#expected.clear();
  }

  #fold(topic: SeenTopic, partition: number): Fold {
    const key = `${topic.name}/${partition}`;
    let fold = this.folds.get(key);
    if (fold === undefined) this.folds.set(key, (fold = new Fold()));
    return fold;
  }

  #member(name: string, value: Uint8Array | undefined, by: Machine): void {
    const member = name.slice(name.indexOf('\0') + 1);
    if (value === undefined) {
      this.#present.delete(member);
      return;
    }
    this.#present.add(member);
    const known = this.#members.get(member);
    if (known === undefined) this.#members.set(member, by.number);
    else if (known !== by.number)
      throw new Violation(
        'owners',
        `${by.name} writes the row of member ${member} of another process`,
      );
  }

  #producer(name: string, value: Uint8Array): void {
    const { epoch, sequence } = decodeRow(value, () => `producer ${name}`).head as {
      readonly epoch: number;
      readonly sequence: number;
    };
    const before = this.#producers.get(name);
    if (before !== undefined && (epoch < before.epoch || sequence < before.sequence))
      throw new Violation(
        'producers',
        `producer ${name} went from epoch ${before.epoch}, sequence ${before.sequence} to ${epoch}, ${sequence}`,
      );
    this.#producers.set(name, { epoch, sequence });
  }

  #group(name: string, value: Uint8Array): void {
    const { round } = decodeRow(value, () => `group ${name}`).head as { readonly round: number };
    const before = this.#rounds.get(name) ?? 0;
    if (round < before)
      throw new Violation('groups', `the round of group ${name} went from ${before} to ${round}`);
    this.#rounds.set(name, round);
  }

  #task(name: string, value: Uint8Array, by: Machine): void {
    const id = name.slice(name.indexOf('\0') + 1);
    const { head, payload } = decodeRow(value, () => `task ${id}`);
    const row = head as Omit<SeenTask, 'id' | 'meta'> & { readonly meta: boolean };
    const { epoch, owner, stateId, positions } = row;
    const before = this.tasks.get(name);
    const meta =
      row.meta && before?.epoch === epoch && samePositions(before.positions, positions)
        ? (before.meta ?? decodeMeta(payload, id))
        : row.meta
          ? decodeMeta(payload, id)
          : undefined;
    this.#reign(id, before, epoch, owner, by);
    if (before === undefined) {
      if (positions.length > 0)
        throw new Violation('positions', `task ${id} begins with positions`);
      this.tasks.set(name, { id, epoch, owner, stateId, positions, meta });
      return;
    }
    if (stateId !== before.stateId)
      throw new Violation('state', `task ${id} went from state ${before.stateId} to ${stateId}`);
    if (epoch < before.epoch || epoch > before.epoch + 1)
      throw new Violation('owners', `task ${id} went from epoch ${before.epoch} to ${epoch}`);
    if (owner !== before.owner && owner !== null && epoch === before.epoch)
      throw new Violation(
        'owners',
        `task ${id} went from owner ${before.owner} to ${owner} under epoch ${epoch}`,
      );
    if (
      before.owner !== null &&
      owner !== null &&
      owner !== before.owner &&
      this.#present.has(before.owner)
    )
      throw new Violation(
        'owners',
        `task ${id} is taken from ${before.owner}, which is still a member, by ${owner}`,
      );
    if (!samePositions(before.positions, positions)) {
      this.#positions(id, before.positions, positions);
      this.#committer(id, epoch, owner, by);
      this.#events.tell?.(
        `${by.name} commits ${id} (epoch ${epoch}): ${positions
          .map(({ topic, partition, offset }) => `${topic}[${partition}]→${offset}`)
          .join(' ')}`,
      );
    } else if (epoch !== before.epoch || owner !== before.owner)
      this.#events.tell?.(
        `${by.name} makes ${owner === null ? 'nobody' : `p${this.#members.get(owner)}`} owner of ${id} (epoch ${epoch})`,
      );
    if (meta !== undefined && before.meta !== undefined && meta !== before.meta)
      compareMeta(id, before.meta, meta);
    this.tasks.set(name, { id, epoch, owner, stateId, positions, meta });
  }

  #reign(
    id: string,
    before: SeenTask | undefined,
    epoch: number,
    owner: string | null,
    by: Machine,
  ): void {
    const last = before?.owner ?? null;
    if (last === owner && before?.epoch === epoch) return;
    const from = last === null ? undefined : this.#members.get(last);
    if (last !== null && from !== undefined) {
      // Whoever finds its own lease over is told of that only when it is written.
      const given = from === by.number && this.#present.has(last);
      this.reigns.ended(id, from, given ? 'given' : 'taken', by.clock.monotonic());
    }
    const to = owner === null ? undefined : this.#members.get(owner);
    if (to !== undefined) this.reigns.began(id, to, epoch);
  }

  #positions(id: string, before: readonly Position[], after: readonly Position[]): void {
    for (const { topic, partition, offset } of before) {
      const now = after.find((at) => at.topic === topic && at.partition === partition);
      if (now === undefined)
        throw new Violation(
          'positions',
          `task ${id} forgets its position in ${topic}[${partition}]`,
        );
      if (now.offset < offset)
        throw new Violation(
          'positions',
          `task ${id} went back in ${topic}[${partition}] from ${offset} to ${now.offset}`,
        );
    }
    for (const { topic, partition, offset } of after)
      if (offset > this.endOf(topic, partition))
        throw new Violation(
          'positions',
          `task ${id} is at ${offset} of ${topic}[${partition}], which ends at ${this.endOf(topic, partition)}`,
        );
  }

  #committer(id: string, epoch: number, owner: string | null, by: Machine): void {
    if (owner === null || this.#members.get(owner) !== by.number)
      throw new Violation('owners', `${by.name} commits task ${id}, which it does not own`);
    const key = `${id}@${epoch}`;
    const known = this.#committers.get(key);
    if (known === undefined) this.#committers.set(key, by.number);
    else if (known !== by.number)
      throw new Violation('owners', `two processes commit task ${id} under epoch ${epoch}`);
  }

  /** A checkpoint covers what is committed, and nothing in front of it may be missing from the changelog. */
  #checkpoint(name: string, value: Uint8Array): void {
    if (name.charCodeAt(4) !== 0) return;
    const stateId = wordOf(name, 0);
    const head = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    const [position, writes] = [head.readDoubleLE(4), head.readDoubleLE(12)];
    const before = this.#checkpoints.get(stateId);
    if (before !== undefined && (position < before.position || writes <= before.writes))
      throw new Violation(
        'checkpoints',
        `the checkpoint of state ${stateId} went from ${before.position} (${before.writes} writes) to ${position} (${writes})`,
      );
    this.#checkpoints.set(stateId, { position, writes });
  }

  /** Nothing may be deleted that somebody has yet to read. */
  #floors(ends: readonly [string, Uint8Array][], by: Machine): void {
    for (const [name] of ends) {
      const seen = this.#partitions.get(partitionOf(name));
      if (seen === undefined || seen.start === 0) continue;
      const { topic, partition, start, received } = seen;
      const { retentionMs = null } = topic.spec.keep ?? {};
      while (received[0] !== undefined && received[0].end <= start) {
        const { atMs, end } = received.shift() as { readonly atMs: number; readonly end: number };
        if (retentionMs === null || atMs < by.latestMs - retentionMs) continue;
        throw new Violation(
          'retention',
          `${by.name} deletes ${topic.name}[${partition}] up to ${end}, which is only ${Math.round(by.latestMs - atMs)} ms old`,
        );
      }
      if (topic.spec.role === 'repartition')
        for (const { id, positions } of this.tasks.values())
          for (const at of positions)
            if (at.topic === topic.name && at.partition === partition && at.offset < start)
              throw new Violation(
                'retention',
                `${topic.name}[${partition}] begins at ${start}, and task ${id} is only at ${at.offset}`,
              );
      if (topic.spec.role === 'changelog')
        for (const { id, stateId } of this.tasks.values())
          if (isChangelogOf(topic, id, partition)) {
            const position = this.#checkpoints.get(stateId)?.position ?? 0;
            if (position < start)
              throw new Violation(
                'checkpoints',
                `${topic.name}[${partition}] begins at ${start}, and its checkpoint is only at ${position}`,
              );
          }
    }
  }
}

function isChangelogOf({ name, spec }: SeenTopic, task: string, partition: number): boolean {
  const slash = task.lastIndexOf('/');
  if (Number(task.slice(slash + 1)) !== partition) return false;
  return name === changelogTopic(spec.owner ?? '', task.slice(0, slash));
}

function compareMeta(id: string, before: TaskMeta, after: TaskMeta): void {
  if ((after.time ?? -Infinity) < (before.time ?? -Infinity))
    throw new Violation(
      'stream time',
      `the stream time of task ${id} went from ${before.time} to ${after.time}`,
    );
  for (const field of ['events', 'skipped', 'deadLettered', 'lost'] as const)
    if (after[field] < before[field])
      throw new Violation(
        'counters',
        `${field} of task ${id} went from ${before[field]} to ${after[field]}`,
      );
  for (const [table, time] of Object.entries(before.closed))
    if ((after.closed[table] ?? -Infinity) < time)
      throw new Violation(
        'windows',
        `table ${table} of task ${id} was closed to ${time} and is now to ${after.closed[table]}`,
      );
}

function samePositions(a: readonly Position[], b: readonly Position[]): boolean {
  return (
    a.length === b.length &&
    a.every((at, i) => {
      const other = b[i] as Position;
      return (
        at.offset === other.offset && at.topic === other.topic && at.partition === other.partition
      );
    })
  );
}

/** Four bytes of a key, as a number. */
function wordOf(name: string, at: number): number {
  const high = name.charCodeAt(at) * 256 + name.charCodeAt(at + 1);
  return high * 65_536 + name.charCodeAt(at + 2) * 256 + name.charCodeAt(at + 3);
}

/** The partition that the key of a frame, or of ends, begins with. */
function partitionOf(name: string): number {
  return numberOf(wordOf(name, 0), name.charCodeAt(4) * 256 + name.charCodeAt(5));
}

function numberOf(topicId: number, partition: number): number {
  return topicId * 65_536 + partition;
}
