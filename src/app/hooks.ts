/**
 * Hooks: functions of the user that are told what happens to the tasks of this process, and waited for.
 *
 * A listener can hold up what it is told of, but not for ever, and it cannot break it: one that throws or takes too long is told of, and the
 * worker goes on.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import type { Duration } from '../core/duration.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TasksChange } from '../runtime/worker.ts';
import { taskId } from '../topology/topology.ts';
import type { Topology } from '../topology/topology.ts';
import { jobContext } from './jobs.ts';
import type { JobContext } from './jobs.ts';

/** A partition of a topic that the app reads, be it declared or behind a `groupBy`. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** What an app tells its listeners, by the name of the event. */
export interface AppEvents {
  /** Partitions that this process begins to read. Their tasks are loaded when all listeners are done. */
  readonly partitionsAssigned: readonly TopicPartition[];
  /**
   * Partitions that this process reads no more: everything of them is committed, and others get them when all listeners are done; or, after this
   * process was taken for dead, others have them already.
   */
  readonly partitionsRevoked: readonly TopicPartition[];
  /** A table's rows in one partition are loaded. Its task goes on when all listeners are done. */
  readonly recovered: {
    readonly table: string;
    readonly partition: number;
    /** Rows in memory. Those of a table that is larger than `cacheRows` are read when they are needed. */
    readonly records: number;
  };
}

/** A function that is told of an event. What it returns is waited for. */
export type Listener<E extends keyof AppEvents> = (
  detail: AppEvents[E],
  context: JobContext,
) => unknown;

/** How a listener is called. */
export interface ListenOptions {
  /** What it is told of waits for it no longer than this, at least 1 ms; then its signal aborts. Default 10 s. */
  readonly deadline?: Duration | undefined;
}

/** A declared listener. */
export interface Listening {
  readonly event: keyof AppEvents;
  readonly fn: Listener<never>;
  readonly deadlineMs: number;
}

/** What hooks are run with. */
export interface HookScope {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly app: string;
}

/** The listeners of a started app. */
export class Hooks {
  readonly #listening: readonly Listening[];
  readonly #scope: HookScope;
  /** What a task reads, by its id. */
  readonly #inputs = new Map<string, readonly TopicPartition[]>();
  readonly #tasks = new Set<string>();

  constructor(listening: readonly Listening[], { subTopologies }: Topology, scope: HookScope) {
    this.#listening = listening;
    this.#scope = scope;
    for (const { name, partitions, inputs } of subTopologies)
      for (let partition = 0; partition < partitions; partition++)
        this.#inputs.set(
          taskId(name, partition),
          inputs.map(({ topic }) => ({ topic, partition })),
        );
  }

  /** Tasks of this process have come or gone. Several may read the same partition: it comes with the first of them and goes with the last. */
  async changed({ gained, released, lost }: TasksChange): Promise<void> {
    const before = this.#partitions();
    for (const id of [...released, ...lost]) this.#tasks.delete(id);
    for (const id of gained) this.#tasks.add(id);
    const now = this.#partitions();
    const gone = [...before].filter(([place]) => !now.has(place)).map(([, each]) => each);
    const come = [...now].filter(([place]) => !before.has(place)).map(([, each]) => each);
    if (gone.length > 0) await this.#tell('partitionsRevoked', gone);
    if (come.length > 0) await this.#tell('partitionsAssigned', come);
  }

  /** The task of that id has its state: so many rows of each table. */
  async recovered(task: string, rows: ReadonlyMap<string, number>): Promise<void> {
    const partition = Number(task.slice(task.lastIndexOf('/') + 1));
    for (const [table, records] of rows)
      await this.#tell('recovered', { table, partition, records });
  }

  #partitions(): Map<string, TopicPartition> {
    const partitions = new Map<string, TopicPartition>();
    for (const id of this.#tasks)
      for (const each of this.#inputs.get(id) ?? [])
        partitions.set(`${each.topic}/${each.partition}`, each);
    return partitions;
  }

  /** All listeners of an event, at the same time. */
  async #tell<E extends keyof AppEvents>(event: E, detail: AppEvents[E]): Promise<void> {
    const { app, logger } = this.#scope;
    const mine = this.#listening.filter((each) => each.event === event);
    await Promise.all(
      mine.map(async ({ fn, deadlineMs }) => {
        try {
          await this.#call(event, fn as Listener<E>, detail, deadlineMs);
        } catch (error) {
          logger.error(
            { error, app, event },
            `a listener to ${event} of app ${app} failed: ${messageOf(error)}; the worker goes on without it`,
          );
        }
      }),
    );
  }

  async #call<E extends keyof AppEvents>(
    event: E,
    fn: Listener<E>,
    detail: AppEvents[E],
    deadlineMs: number,
  ): Promise<void> {
    const { clock } = this.#scope;
    const abort = new AbortController();
    const late = Promise.withResolvers<never>();
    const timer = clock.setTimer(deadlineMs, () => {
      const error = new MillraceError(
        'MR_TIMEOUT',
        `it has taken longer than its deadline of ${deadlineMs} ms; end it when its signal aborts, or raise the deadline`,
        { details: { event, deadlineMs } },
      );
      late.reject(error);
      abort.abort(error);
    });
    try {
      const call = async (): Promise<unknown> => await fn(detail, jobContext(clock, abort.signal));
      await Promise.race([call(), late.promise]);
    } finally {
      timer.cancel();
    }
  }
}
