/**
 * What a task counts. Saved with each commit, so that the numbers are as exact as the state.
 *
 * @module
 */
import type { TaskMeta } from './meta.ts';

/** Counts since the group began. */
export interface Counts {
  /** Events processed. */
  readonly events: number;
  /** Events given up by a policy. */
  readonly skipped: number;
  /** Events that a policy has sent to a topic. */
  readonly deadLettered: number;
  /** Records deleted by retention before they were read. */
  readonly lost: number;
  /** Events for a closed window, by table. */
  readonly late: ReadonlyMap<string, number>;
}

/** Counts of the task that is alive. */
export class Counters {
  events: number;
  skipped: number;
  deadLettered: number;
  lost: number;
  readonly late: Map<string, number>;

  constructor(saved: Pick<TaskMeta, 'events' | 'skipped' | 'deadLettered' | 'lost' | 'late'>) {
    this.events = saved.events;
    this.skipped = saved.skipped;
    this.deadLettered = saved.deadLettered;
    this.lost = saved.lost;
    this.late = new Map(Object.entries(saved.late));
  }

  /** As they are now. */
  copy(): Counts {
    const { events, skipped, deadLettered, lost, late } = this;
    return { events, skipped, deadLettered, lost, late: new Map(late) };
  }
}

export const noCounts: Counts = {
  events: 0,
  skipped: 0,
  deadLettered: 0,
  lost: 0,
  late: new Map(),
};
