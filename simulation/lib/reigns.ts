/**
 * Who owned the first task of the app, and how that ended: whether somebody who acts as the leader may believe to be it.
 *
 * What a leader does is not fenced: one that was frozen or cut off goes on until it looks at its group. One that has given the task back itself
 * knows better.
 *
 * @module
 */
import type { Machine } from './machine.ts';
import { Violation } from './violation.ts';

/** How long somebody may take to notice that the task was taken away, once it is awake. */
const NOTICED_MS = 20_000;

interface Reign {
  readonly epoch: number;
  /** Whether the owner itself has given the task back, or others have found it dead. */
  ended: 'given' | 'taken' | undefined;
  endedMs: number;
}

export class Reigns {
  /** The last one of each process, by task. */
  readonly #tasks = new Map<string, Map<number, Reign>>();

  began(task: string, owner: number, epoch: number): void {
    let reigns = this.#tasks.get(task);
    if (reigns === undefined) this.#tasks.set(task, (reigns = new Map()));
    reigns.set(owner, { epoch, ended: undefined, endedMs: 0 });
  }

  ended(task: string, owner: number, how: 'given' | 'taken', nowMs: number): void {
    const reign = this.#tasks.get(task)?.get(owner);
    if (reign === undefined) return;
    reign.ended = how;
    reign.endedMs = nowMs;
  }

  /** @throws Violation when `machine` cannot take itself for the leader now. */
  check(machine: Machine): void {
    const [first] = [...this.#tasks.keys()].filter((task) => task.endsWith('/0')).toSorted();
    const reign = first === undefined ? undefined : this.#tasks.get(first)?.get(machine.number);
    if (reign?.ended === undefined && reign !== undefined) return;
    if (reign === undefined)
      throw new Violation('leader', `${machine.name} leads, and never owned ${first}`);
    if (reign.ended === 'given')
      throw new Violation(
        'leader',
        `${machine.name} leads, and has given ${first} (epoch ${reign.epoch}) back`,
      );
    const sinceMs = machine.clock.monotonic() - Math.max(reign.endedMs, machine.wokeMs);
    if (sinceMs > NOTICED_MS)
      throw new Violation(
        'leader',
        `${machine.name} leads ${Math.round(sinceMs)} ms after ${first} (epoch ${reign.epoch}) was taken from it`,
      );
  }
}
