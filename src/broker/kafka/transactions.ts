/**
 * Transactions: what one transactional id writes and commits as one.
 *
 * Steps of a transaction run one after the other, in the order of the calls: brokers learn of partitions and offsets before anything is written
 * under them. A producer is opened by taking its id: whoever had it before is fenced, and what it left open is aborted. After a step that failed the
 * transaction can only be aborted; after an end whose outcome is not known the producer must be opened again, which settles it.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Outgoing, Placed, Position } from '../broker.ts';
import type { CallOptions, Cluster, Target } from './cluster.ts';
import { kafkaError } from './errors.ts';
import type { FrameSender, ProducerIdentity } from './frame-sender.ts';

/** How a transactional producer is made. */
export interface TransactionsOptions {
  /** Durable and unique in the cluster. */
  readonly transactionalId: string;
  /**
   * A transaction that is open for longer is aborted by the brokers: so long a producer that dies holds up readers of what it wrote to, unless its
   * id is opened again. Milliseconds, at least 1,000. Default 10,000. Has nothing to do with how long a request may take.
   */
  readonly timeoutMs?: number | undefined;
}

/** Whose offsets are committed: a member of a consumer group, as of its last join. */
export interface OffsetsOwner {
  readonly group: string;
  /** −1 with an empty `memberId`: offsets of nobody in particular, which nothing fences. */
  readonly generation: number;
  readonly memberId: string;
  /** Of a static member, else `null`. */
  readonly instanceId: string | null;
}

const TIMEOUT_MS = 10_000;
/** After a commit brokers take some milliseconds to write its markers; the next transaction waits for that. */
const WAIT_AT_MOST_MS = 20;

/** A producer with a transactional id. One transaction at a time. */
export class TransactionalProducer {
  readonly transactionalId: string;
  readonly #cluster: Cluster;
  readonly #sender: FrameSender;
  readonly #timeoutMs: number;
  #identity: ProducerIdentity | undefined;
  #current: Transaction | undefined;

  constructor(cluster: Cluster, sender: FrameSender, options: TransactionsOptions) {
    const { transactionalId, timeoutMs = TIMEOUT_MS } = options;
    if (!(timeoutMs >= 1000))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `timeoutMs of transactional id ${transactionalId} is ${String(timeoutMs)}; give milliseconds, at least 1000`,
      );
    this.transactionalId = transactionalId;
    this.#cluster = cluster;
    this.#sender = sender;
    this.#timeoutMs = timeoutMs;
  }

  /** Whether a transaction can begin. */
  get ready(): boolean {
    return this.#identity !== undefined;
  }

  /**
   * Takes the id: fences whoever has it, and waits until what that one left open is aborted.
   *
   * @throws `MR_IO` (retryable), `MR_PERMISSION`.
   */
  async open(): Promise<void> {
    this.#identity = undefined;
    this.#current = undefined;
    const { producerId, producerEpoch } = await this.#cluster.call(
      this.target,
      this.#cluster.library.initProducerIdV4.api,
      // Without these two the library says 0 and 0 elsewhere, which no broker takes for a fresh start.
      [this.transactionalId, this.#timeoutMs, -1n, -1],
      this.#callOptions('cannot be opened'),
    );
    this.#identity = {
      producerId,
      producerEpoch,
      transactionalId: this.transactionalId,
      sequences: new Map(),
    };
  }

  /** Begins a transaction. Nothing is sent yet. @throws `MR_FENCED` when the producer must be opened (again). */
  begin(): Transaction {
    if (this.#identity === undefined || this.#current?.ended === false)
      throw new MillraceError(
        'MR_FENCED',
        this.#identity === undefined
          ? `transactional id ${this.transactionalId} is not open, or what became of its last transaction is not known; open it again`
          : `the last transaction of ${this.transactionalId} has not ended`,
        { domain: 'external', details: { transactionalId: this.transactionalId } },
      );
    this.#current = new Transaction(this.#cluster, this.#sender, this.#identity, {
      target: this.target,
      options: (what) => this.#callOptions(what),
      lost: () => {
        this.#identity = undefined;
      },
    });
    return this.#current;
  }

  get target(): Target {
    return { kind: 'coordinator', of: 'transaction', key: this.transactionalId };
  }

  #callOptions(what: string): CallOptions {
    return {
      what: `transactional id ${this.transactionalId} ${what}`,
      details: { transactionalId: this.transactionalId },
      waitAtMostMs: WAIT_AT_MOST_MS,
    };
  }
}

interface TransactionContext {
  readonly target: Target;
  readonly options: (what: string) => CallOptions;
  /** The producer is not to be used any more. */
  readonly lost: () => void;
}

/** One transaction. Steps may be called without waiting; they run in the order of the calls. */
export class Transaction {
  readonly #cluster: Cluster;
  readonly #sender: FrameSender;
  readonly #identity: ProducerIdentity;
  readonly #context: TransactionContext;
  /** Partitions that the brokers know of, `topic/partition`, and groups. */
  readonly #added = new Set<string>();
  #tail: Promise<unknown> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #begun = false;
  #ended = false;

  constructor(
    cluster: Cluster,
    sender: FrameSender,
    identity: ProducerIdentity,
    context: TransactionContext,
  ) {
    this.#cluster = cluster;
    this.#sender = sender;
    this.#identity = identity;
    this.#context = context;
  }

  /** It was committed, aborted or given up. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Writes frames, in their order. They are where the result says; whether they count is told by the end of the transaction.
   *
   * @throws `MR_FENCED`; `MR_IO` and others, then abort.
   */
  async send(frames: readonly Outgoing[]): Promise<readonly Placed[]> {
    return await this.#step(async () => {
      if (frames.length === 0) return [];
      await this.#addPartitions(frames);
      const sent = await this.#sender.send(this.#identity, frames);
      return sent.map((result) => {
        if ('error' in result) throw result.error;
        return result.placed;
      });
    });
  }

  /**
   * Commits offsets of a group with the transaction, all in one request.
   *
   * @throws `MR_FENCED` when the member has been replaced, or the group is joining anew; then abort.
   */
  async offsets(owner: OffsetsOwner, positions: readonly Position[]): Promise<void> {
    await this.#step(async () => {
      if (positions.length === 0) return;
      const { library } = this.#cluster;
      const { producerId, producerEpoch } = this.#identity;
      const id = this.#identity.transactionalId as string;
      const group = `group ${owner.group}`;
      if (!this.#added.has(group)) {
        await this.#cluster.call(
          this.#context.target,
          library.addOffsetsToTxnV3.api,
          [id, producerId, producerEpoch, owner.group],
          this.#context.options(`cannot commit offsets of group ${owner.group}`),
        );
        this.#begun = true;
        this.#added.add(group);
      }
      const topics = new Map<string, Position[]>();
      for (const position of positions) {
        const there = topics.get(position.topic);
        if (there === undefined) topics.set(position.topic, [position]);
        else there.push(position);
      }
      await this.#cluster.call(
        { kind: 'coordinator', of: 'group', key: owner.group },
        library.txnOffsetCommitV3.api,
        [
          id,
          owner.group,
          producerId,
          producerEpoch,
          owner.generation,
          owner.memberId,
          owner.instanceId,
          [...topics].map(([name, ofTopic]) => ({
            name,
            partitions: ofTopic.map(({ partition, offset }) => ({
              partitionIndex: partition,
              committedOffset: BigInt(offset),
              committedLeaderEpoch: -1,
              committedMetadata: null,
            })),
          })),
        ],
        this.#context.options(`cannot commit offsets of group ${owner.group}`),
      );
    });
  }

  /**
   * Makes all of it count. It is durable then; readers see it a few milliseconds later, when each partition has been told.
   *
   * @throws `MR_FENCED`: none of it counts. `MR_IO`: the outcome is not known; open the producer again, and look. What a step has thrown
   * before: the transaction is still to be aborted.
   */
  async commit(): Promise<void> {
    await this.#step(async () => {
      this.#ended = true;
      try {
        await this.#end(true);
      } catch (error) {
        this.#context.lost();
        throw error;
      }
    });
  }

  /** Makes none of it count. Does not throw: where it cannot be said to the brokers, opening the producer again says it. */
  async abort(): Promise<void> {
    await this.#tail;
    if (this.#ended) return;
    this.#ended = true;
    // After a failure sequence numbers may have been used up for nothing: a fresh start is sure.
    if (this.#failure !== undefined) this.#context.lost();
    try {
      await this.#end(false);
    } catch {
      this.#context.lost();
    }
  }

  async #end(commit: boolean): Promise<void> {
    if (!this.#begun) return;
    const { transactionalId, producerId, producerEpoch } = this.#identity;
    await this.#cluster.call(
      this.#context.target,
      this.#cluster.library.endTxnV3.api,
      [transactionalId as string, producerId, producerEpoch, commit],
      this.#context.options(commit ? 'cannot commit' : 'cannot abort'),
    );
  }

  /** One request for all partitions that are new. */
  async #addPartitions(frames: readonly Outgoing[]): Promise<void> {
    const topics = new Map<string, Set<number>>();
    for (const { topic, partition } of frames) {
      if (this.#added.has(`${topic}/${partition}`)) continue;
      const there = topics.get(topic);
      if (there === undefined) topics.set(topic, new Set([partition]));
      else there.add(partition);
    }
    if (topics.size === 0) return;
    const { transactionalId, producerId, producerEpoch } = this.#identity;
    await this.#cluster.call(
      this.#context.target,
      this.#cluster.library.addPartitionsToTxnV3.api,
      [
        [
          {
            transactionalId: transactionalId as string,
            producerId,
            producerEpoch,
            verifyOnly: false,
            topics: [...topics].map(([name, partitions]) => ({
              name,
              partitions: [...partitions],
            })),
          },
        ],
      ],
      // Of the partitions that were asked for, those that could be added are reported beside the others as not attempted.
      {
        ...this.#context.options('cannot write'),
        passes: (trouble) => {
          const said = trouble.reported.filter((name) => name !== 'OPERATION_NOT_ATTEMPTED');
          return (
            (said.length > 0 || trouble.network) &&
            said.every((name) => PASSING_WHEN_ADDING.has(name))
          );
        },
      },
    );
    this.#begun = true;
    for (const [topic, partitions] of topics)
      for (const partition of partitions) this.#added.add(`${topic}/${partition}`);
  }

  #step<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(async () => {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#ended)
        throw new MillraceError('MR_CLOSED', 'the transaction has ended; begin another one');
      try {
        return await run();
      } catch (error) {
        const typed = kafkaError(error, 'the transaction failed');
        this.#failure = { error: typed };
        throw typed;
      }
    });
    this.#tail = result.catch(() => undefined);
    return result;
  }
}

const PASSING_WHEN_ADDING: ReadonlySet<string> = new Set([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'UNKNOWN_TOPIC_OR_PARTITION',
  'REQUEST_TIMED_OUT',
]);
