/**
 * Who of the processes of an app does what only one of them should: the owner of the app's first task.
 *
 * The group gives that task to exactly one member, and to another one when that member ends, so there is nothing to elect. What a leader does
 * is not fenced as commits are: one that was frozen for longer than its lease goes on until it looks at its group, while another leads already.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { TasksChange } from '../runtime/worker.ts';
import { taskId } from '../topology/topology.ts';
import type { Topology } from '../topology/topology.ts';

/** Whether this process leads, from one change of its tasks to the next. */
export class Leadership {
  readonly #task: string | undefined;
  #term: AbortController | undefined;
  #next = Promise.withResolvers<void>();

  constructor({ subTopologies }: Topology) {
    this.#task = subTopologies
      .filter(({ partitions }) => partitions > 0)
      .map(({ name }) => taskId(name, 0))
      .toSorted()[0];
  }

  /** Says that `job` is for the leader alone. @throws `MR_TOPOLOGY_INVALID` for an app without tasks, which has none. */
  require(app: string, job: string): void {
    if (this.#task !== undefined) return;
    throw new MillraceError(
      'MR_TOPOLOGY_INVALID',
      `${job} is for the leader, the process that owns the first task of the app's streams and agents, and app ${app} has neither; declare one, or leave onLeader out`,
      { details: { app, job } },
    );
  }

  /** Aborts when this process leads no more; `undefined` when it does not lead now. */
  get term(): AbortSignal | undefined {
    return this.#term?.signal;
  }

  /** Resolves at the beginning of the next term, or at once during one. */
  get begun(): Promise<void> {
    return this.#next.promise;
  }

  /** Tasks of this process have come or gone. */
  changed({ gained, revoked, released, lost }: TasksChange): void {
    if (this.#task === undefined) return;
    // A task that is asked for ends the term at once: whoever gets it leads as soon as it is released.
    if ([revoked, released, lost].some((ids) => ids.includes(this.#task as string))) this.#end();
    if (!gained.includes(this.#task)) return;
    this.#end();
    this.#term = new AbortController();
    this.#next.resolve();
  }

  #end(): void {
    if (this.#term === undefined) return;
    this.#next = Promise.withResolvers<void>();
    const term = this.#term;
    this.#term = undefined;
    term.abort(new MillraceError('MR_ABORTED', 'this process does not lead its app any more'));
  }
}
