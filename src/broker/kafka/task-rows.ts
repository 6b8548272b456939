/**
 * The tasks of a group: one row for each in the compacted topic `<group>-tasks`, with epoch, owner, positions and meta.
 *
 * A row changes in the transaction of its owner that writes what goes with it, and under the owner's generation of the group, which the coordinator checks.
 * So three things keep a former owner from committing: its transactional id is opened by others when it has left ({@link TaskRows.claim}); the
 * coordinator refuses its generation; and its epoch is not that of the row.
 *
 * Who may claim a task is decided elsewhere, by whoever leads the group. Here it is only seen to that what an owner finds is what the one before has
 * committed, and that nothing of that one comes later.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Placed, Position, TaskCommit } from '../broker.ts';
import { checkCommit } from '../checks.ts';
import type { Cluster } from './cluster.ts';
import type { Fetcher } from './fetcher.ts';
import type { FrameSender } from './frame-sender.ts';
import { Rows } from './rows.ts';
import { TransactionalProducer } from './transactions.ts';
import type { OffsetsOwner, Transaction } from './transactions.ts';

/** Fixed: a row is found by its task. */
const PARTITIONS = 8;

/** A row as it is written. Meta is in base64. */
interface Row {
  readonly epoch: number;
  readonly owner: string | null;
  readonly positions: readonly (readonly [topic: string, partition: number, offset: number])[];
  readonly meta: string | null;
}

/** A task as it stands in its row. */
export interface TaskRow {
  readonly epoch: number;
  readonly owner: string | null;
  readonly positions: readonly Position[];
  readonly meta: Uint8Array | undefined;
}

/** Who claims and commits: a member of the group in its present generation. */
export interface TaskOwner {
  /** Names the member. */
  readonly member: string;
  /** Open, and used for nothing else meanwhile. */
  readonly producer: TransactionalProducer;
  readonly offsets: OffsetsOwner;
}

/** What the tasks of a group need. */
export interface TaskRowsOptions {
  readonly cluster: Cluster;
  readonly fetcher: Fetcher;
  readonly sender: FrameSender;
  readonly group: string;
  /** Copies of each partition; −1: what the brokers have as default. */
  readonly replication: number;
}

/** Tasks of one group, as one member sees them. Calls of one owner must not overlap. */
export class TaskRows {
  readonly #options: TaskRowsOptions;
  readonly #topic: string;
  readonly #rows: Rows<Row>;
  /** What this object has claimed or committed last. */
  readonly #owned = new Map<string, Row>();

  constructor(options: TaskRowsOptions) {
    const { cluster, fetcher, group, replication } = options;
    this.#options = options;
    this.#topic = `${group}-tasks`;
    this.#rows = new Rows(cluster, fetcher, {
      topic: this.#topic,
      partitions: PARTITIONS,
      replication,
    });
  }

  /** The row of a task as of now; nothing for one that nobody has ever claimed. */
  async read(task: string): Promise<TaskRow | undefined> {
    const row = await this.#rows.get(task);
    return row === undefined ? undefined : taskOf(row);
  }

  /**
   * Makes `owner` the owner of tasks, each under its next epoch, and tells what their last owners have committed.
   *
   * @param departed Transactional ids of members that are not in the group any more. They are opened first: what those members were about to commit
   * is settled then, and they cannot commit any more. Ids of members that are there must not be among them.
   * @throws `MR_FENCED` when the owner is not in the group under that generation, or has been replaced: none is claimed. `MR_IO`: open the
   * owner's producer again, join, and claim again.
   */
  async claim(
    owner: TaskOwner,
    tasks: readonly string[],
    departed: readonly string[],
  ): Promise<ReadonlyMap<string, TaskRow>> {
    const { cluster, sender } = this.#options;
    await this.#rows.make();
    await Promise.all(
      departed.map(async (transactionalId) => {
        await new TransactionalProducer(cluster, sender, { transactionalId }).open();
      }),
    );
    const claimed = new Map<string, Row>();
    for (const task of tasks) {
      const there = await this.#rows.get(task);
      claimed.set(task, {
        epoch: (there?.epoch ?? 0) + 1,
        owner: owner.member,
        positions: there?.positions ?? [],
        meta: there?.meta ?? null,
      });
    }
    await this.#transact(owner, async (transaction) => {
      await this.#write(transaction, owner, claimed, []);
    });
    return new Map([...claimed].map(([task, row]) => [task, taskOf(row)]));
  }

  /** Gives tasks back as they were committed. Those that are not this object's are passed over. @throws as {@link TaskRows.claim}. */
  async release(owner: TaskOwner, tasks: readonly string[]): Promise<void> {
    const free = new Map<string, Row>();
    for (const task of tasks) {
      const row = this.#owned.get(task);
      if (row !== undefined) free.set(task, { ...row, owner: null });
    }
    if (free.size === 0) return;
    await this.#transact(owner, async (transaction) => {
      await this.#write(transaction, owner, free, []);
    });
    for (const task of free.keys()) this.#owned.delete(task);
  }

  /**
   * Commits steps of several tasks as one: outputs, rows, and the group's offsets of what they have read. The result has an entry for each commit, with one
   * for each of its outputs.
   *
   * @throws `MR_FENCED` when a task is not this owner's under that epoch, or the owner is not in the group under that generation. `MR_IO`: the outcome is
   * not known. In both cases nothing of what was claimed counts any more until it is claimed again, under a producer that was opened again.
   */
  async commit(
    owner: TaskOwner,
    commits: readonly TaskCommit[],
  ): Promise<readonly (readonly Placed[])[]> {
    const rows = new Map<string, Row>();
    for (const commit of commits) {
      checkCommit(commit);
      this.#assertOwned(commit);
      const { task, epoch, positions, meta } = commit;
      rows.set(task, {
        epoch,
        owner: owner.member,
        positions: positions.map(({ topic, partition, offset }) => [topic, partition, offset]),
        meta: Buffer.from(meta).toString('base64'),
      });
    }
    try {
      return await this.#transact(owner, async (transaction) => {
        const outputs = commits.flatMap((commit) => commit.outputs);
        const placed = await transaction.send(outputs);
        await this.#write(
          transaction,
          owner,
          rows,
          commits.flatMap(({ positions }) => positions),
        );
        let at = 0;
        return commits.map(({ outputs: own }) => placed.slice(at, (at += own.length)));
      });
    } catch (error) {
      this.#owned.clear();
      throw error;
    }
  }

  /** @throws `MR_FENCED`. */
  #assertOwned({ task, epoch }: TaskCommit): void {
    const there = this.#owned.get(task);
    if (there?.epoch === epoch) return;
    const { group } = this.#options;
    throw new MillraceError(
      'MR_FENCED',
      there === undefined
        ? `task ${task} of group ${group} is not this member's; epoch ${epoch} is over`
        : `task ${task} of group ${group} is committed under epoch ${epoch}, and its epoch is ${there.epoch}`,
      { domain: 'external', details: { group, task, epoch } },
    );
  }

  /** Rows and offsets, in that transaction. The rows count as owned when it has been committed. */
  async #write(
    transaction: Transaction,
    owner: TaskOwner,
    rows: ReadonlyMap<string, Row>,
    positions: readonly Position[],
  ): Promise<void> {
    await transaction.send([...rows].map(([task, row]) => this.#rows.record(task, row)));
    // With at least one offset the coordinator looks at the generation.
    const guard = { topic: this.#topic, partition: 0, offset: 0 };
    await transaction.offsets(owner.offsets, [guard, ...leastOf(positions)]);
    await transaction.commit();
    for (const [task, row] of rows) this.#owned.set(task, row);
  }

  async #transact<T>(owner: TaskOwner, run: (transaction: Transaction) => Promise<T>): Promise<T> {
    const transaction = owner.producer.begin();
    try {
      return await run(transaction);
    } finally {
      await transaction.abort();
    }
  }
}

/** Where several tasks read one partition, the group stands where the last of them does. */
function leastOf(positions: readonly Position[]): Position[] {
  const least = new Map<string, Position>();
  for (const position of positions) {
    const place = `${position.topic}/${position.partition}`;
    const there = least.get(place);
    if (there === undefined || position.offset < there.offset) least.set(place, position);
  }
  return [...least.values()];
}

function taskOf({ epoch, owner, positions, meta }: Row): TaskRow {
  return {
    epoch,
    owner,
    positions: positions.map(([topic, partition, offset]) => ({ topic, partition, offset })),
    meta: meta === null ? undefined : Buffer.from(meta, 'base64'),
  };
}
