/**
 * Whether the state of a task is the fold of its changelog: as its owner has it in memory, and as somebody would find it who took it over now.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import type { Broker } from '../../src/broker/broker.ts';
import { msgpack } from '../../src/codec/msgpack.ts';
import { recover } from '../../src/state/recovery.ts';
import type { TaskState } from '../../src/state/task-state.ts';
import { changelogTopic } from '../../src/topology/topology.ts';
import type { Rows } from './fold.ts';
import { Violation } from './violation.ts';

/** @throws Violation when the rows of `state` are others. */
export function checkState(
  what: string,
  state: TaskState,
  stores: ReadonlyMap<string, Rows>,
): void {
  for (const [store, rows] of stores) {
    const windowed = [...rows.keys()].some((key) => /@-?\d+$/.test(key));
    const there: Rows = new Map();
    if (windowed) {
      const windows = state.windowed(store, msgpack);
      for (const start of windows.starts(-Infinity, Infinity))
        for (const [ref, value] of windows.rows(start))
          there.set(`${Buffer.from(ref.bytes).toString()}@${start}`, value);
    } else
      for (const [ref, value] of state.keyed(store, msgpack).rows())
        there.set(Buffer.from(ref.bytes).toString(), value);
    if (!isDeepStrictEqual(there, rows))
      throw new Violation(
        'state',
        `${what} has in ${store} ${textOf(there)}, and its changelog says ${textOf(rows)}`,
      );
  }
}

/** The state of a task as a new owner would load it. */
export async function recovered(
  broker: Broker,
  group: string,
  task: string,
  stateId: number,
): Promise<TaskState> {
  const slash = task.lastIndexOf('/');
  const changelog = changelogTopic(group, task.slice(0, slash));
  const { state } = await recover(broker, changelog, Number(task.slice(slash + 1)), stateId);
  return state;
}

function textOf(rows: Rows): string {
  return JSON.stringify(Object.fromEntries(rows)).slice(0, 700);
}
