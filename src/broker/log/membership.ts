/**
 * Groups and the ownership of their tasks. The row of a task holds its epoch, owner, positions and meta; a commit changes it
 * in the transaction that appends the outputs, after it has checked that the task still has this owner.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Kv, KvReader, KvTransaction } from '../../kv/kv.ts';
import type {
  GroupInfo,
  JoinOptions,
  Membership,
  OwnedTask,
  Placed,
  Position,
  TaskCommit,
} from '../broker.ts';
import { checkCommit, checkJoin, internalName } from '../checks.ts';
import { countChange } from './changes.ts';
import { appendFrames, route } from './partitions.ts';
import { decodeRow, encodeRow, textKey } from './rows.ts';
import { nextId, type Topics } from './topics.ts';

/** What a group needs of the log around it. */
export interface GroupContext {
  readonly kv: Kv;
  readonly clock: Clock;
  readonly topics: Topics;
  /** @throws `MR_CLOSED`. */
  assertOpen(): void;
  /** Called after something was appended. */
  appended(): void;
}

interface StoredTask extends OwnedTask {
  /** Name of the member that owns it, `null` when it was given back. */
  readonly owner: string | null;
}

/** Joins as `member`, a name that nobody else has. */
export async function joinGroup(
  context: GroupContext,
  group: string,
  options: JoinOptions,
  member: string,
): Promise<Membership> {
  checkJoin(group, options);
  const ids = options.tasks.map(({ id }) => id);
  const tasks = await context.kv.transact((txn) => {
    const owned = ids.map((id) => {
      const there = readTask(txn, group, id);
      const task: StoredTask = {
        id,
        epoch: (there?.epoch ?? 0) + 1,
        stateId: there?.stateId ?? nextId(txn, 'state'),
        positions: there?.positions ?? [],
        meta: there?.meta,
        owner: member,
      };
      writeTask(txn, group, task);
      return asOwned(task);
    });
    txn.put('groups', textKey(group), encodeRow({ topology: options.topology }));
    return owned;
  });
  return new LogMembership(context, group, member, tasks);
}

export function describeGroup(kv: KvReader, group: string): GroupInfo | undefined {
  internalName('group', group);
  const row = kv.get('groups', textKey(group));
  if (row === undefined) return undefined;
  const { head } = decodeRow(row, () => `the row of group ${group}`);
  const { topology } = head as { readonly topology: string };
  const tasks: OwnedTask[] = [];
  const range = { from: taskKey(group, ''), to: textKey(`${group}\u0001`) };
  for (const { key, value } of kv.range('tasks', range)) {
    const id = Buffer.from(key)
      .toString('utf8')
      .slice(group.length + 1);
    tasks.push(asOwned(decodeTask(value, group, id)));
  }
  return { topology, tasks };
}

class LogMembership implements Membership {
  readonly tasks: readonly OwnedTask[];
  readonly #context: GroupContext;
  readonly #group: string;
  readonly #member: string;
  /** Set while and after leaving; a failure to write it can be tried again. */
  #left: Promise<void> | undefined;

  constructor(context: GroupContext, group: string, member: string, tasks: readonly OwnedTask[]) {
    this.#context = context;
    this.#group = group;
    this.#member = member;
    this.tasks = tasks;
  }

  async commit(commit: TaskCommit): Promise<readonly Placed[]> {
    const { kv, clock, topics } = this.#context;
    this.#context.assertOpen();
    if (this.#left !== undefined)
      throw new MillraceError(
        'MR_CLOSED',
        `this member has left group ${this.#group} and cannot commit task ${commit.task}; join again`,
        { details: { group: this.#group, task: commit.task } },
      );
    if (!this.tasks.some(({ id }) => id === commit.task))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `task ${commit.task} is not one of this member of group ${this.#group}`,
        { details: { group: this.#group, task: commit.task } },
      );
    checkCommit(commit);
    const outputs = route(topics, commit.outputs);
    const placed = await kv.transact((txn) => {
      const there = readTask(txn, this.#group, commit.task);
      if (there?.epoch !== commit.epoch || there.owner !== this.#member)
        throw this.#fenced(commit, there);
      const { epoch, stateId, owner } = there;
      const { positions, meta } = commit;
      const appended = appendFrames(txn, outputs, clock);
      writeTask(txn, this.#group, { id: commit.task, epoch, stateId, owner, positions, meta });
      countChange(txn);
      return appended;
    });
    this.#context.appended();
    return placed;
  }

  leave(): Promise<void> {
    this.#left ??= this.#leave().catch((error: unknown) => {
      this.#left = undefined;
      throw error;
    });
    return this.#left;
  }

  async #leave(): Promise<void> {
    this.#context.assertOpen();
    await this.#context.kv.transact((txn) => {
      for (const { id } of this.tasks) {
        const there = readTask(txn, this.#group, id);
        if (there?.owner === this.#member) writeTask(txn, this.#group, { ...there, owner: null });
      }
    });
  }

  #fenced(commit: TaskCommit, there: StoredTask | undefined): MillraceError {
    return new MillraceError(
      'MR_FENCED',
      `task ${commit.task} of group ${this.#group} has another owner: this commit has epoch ${String(commit.epoch)}, the current epoch is ${there?.epoch ?? 'unknown'}; drop the state of the task and stop processing it`,
      {
        domain: 'external',
        details: {
          group: this.#group,
          task: commit.task,
          epoch: commit.epoch,
          currentEpoch: there?.epoch,
        },
      },
    );
  }
}

/** The zero byte cannot occur in names, so no group's tasks lie between another's. */
function taskKey(group: string, id: string): Buffer {
  return textKey(`${group}\u0000${id}`);
}

function asOwned({ id, epoch, stateId, positions, meta }: StoredTask): OwnedTask {
  return { id, epoch, stateId, positions, meta };
}

function readTask(txn: KvReader, group: string, id: string): StoredTask | undefined {
  const row = txn.get('tasks', taskKey(group, id));
  return row === undefined ? undefined : decodeTask(row, group, id);
}

function decodeTask(row: Uint8Array, group: string, id: string): StoredTask {
  const { head, payload } = decodeRow(row, () => `the row of task ${id} of group ${group}`);
  const { epoch, stateId, owner, positions, meta } = head as {
    readonly epoch: number;
    readonly stateId: number;
    readonly owner: string | null;
    readonly positions: readonly Position[];
    readonly meta: boolean;
  };
  return { id, epoch, stateId, owner, positions, meta: meta ? payload : undefined };
}

function writeTask(txn: KvTransaction, group: string, task: StoredTask): void {
  const { epoch, stateId, owner, meta } = task;
  const positions = task.positions.map(({ topic, partition, offset }) => ({
    topic,
    partition,
    offset,
  }));
  txn.put(
    'tasks',
    taskKey(group, task.id),
    encodeRow({ epoch, stateId, owner, positions, meta: meta !== undefined }, meta),
  );
}
