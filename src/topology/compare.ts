/**
 * The fingerprint of a topology, and what a change of it would do to the state that is stored.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { Topology } from './topology.ts';

/** What is stored with a group: enough to tell which state belongs to what. */
export interface Fingerprint {
  readonly format: 1;
  readonly subTopologies: readonly {
    readonly name: string;
    readonly partitions: number;
    readonly inputs: readonly string[];
    /** Tables and operator states that live in its tasks. */
    readonly states: readonly string[];
  }[];
  readonly tables: readonly string[];
}

/** The fingerprint of a topology; equal topologies have equal texts. */
export function fingerprint(topology: Topology): string {
  const value: Fingerprint = {
    format: 1,
    subTopologies: topology.subTopologies
      .map((sub) => ({
        name: sub.name,
        partitions: sub.partitions,
        inputs: sub.inputs.map((input) => input.topic).toSorted(),
        states: [...sub.tables, ...sub.states.map((state) => state.name)].toSorted(),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    tables: topology.tables.toSorted(),
  };
  return JSON.stringify(value);
}

/** What would be lost if an app with fingerprint `next` took over from `stored`. Empty: nothing. */
export function orphans(stored: string, next: string): readonly string[] {
  if (stored === next) return [];
  const before = JSON.parse(stored) as Fingerprint;
  const after = JSON.parse(next) as Fingerprint;
  const found: string[] = [];
  for (const old of before.subTopologies) {
    const sub = after.subTopologies.find(({ name }) => name === old.name);
    for (const state of old.states) {
      const home = after.subTopologies.find(({ states }) => states.includes(state));
      if (home === undefined)
        found.push(`- ${state} (state of ${old.name}) is not declared any more`);
      else if (home.name !== old.name)
        found.push(`~ ${state} would move from ${old.name} to ${home.name}`);
    }
    if (sub !== undefined && sub.partitions !== old.partitions)
      found.push(
        `~ ${old.name} would have ${sub.partitions} partitions instead of ${old.partitions}`,
      );
  }
  for (const table of before.tables)
    if (!after.tables.includes(table) && !found.some((line) => line.startsWith(`- ${table} `)))
      found.push(`- table ${table} is not declared any more`);
  return found;
}

/**
 * Refuses a topology that would orphan state.
 *
 * @throws `MR_TOPOLOGY_CHANGED` with the difference.
 */
export function checkChange(app: string, stored: string | undefined, next: string): void {
  if (stored === undefined) return;
  const lines = orphans(stored, next);
  if (lines.length > 0)
    throw new MillraceError(
      'MR_TOPOLOGY_CHANGED',
      `app ${app} was changed in a way that would leave stored state behind:\n${lines.map((line) => `  ${line}`).join('\n')}\n` +
        `Take the change back, or raise the app's version to start afresh.`,
      { details: { app, changes: lines } },
    );
}
