/**
 * The fingerprint of a topology, and what a change of it would do to the state that is stored.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { WindowShape } from '../window/definition.ts';
import { storedName } from './rename.ts';
import type { Rename } from './rename.ts';
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
  /** What the windows are of those that have windows. */
  readonly windows: Readonly<Record<string, WindowShape>>;
}

/** The fingerprint of a topology under its stored names; equal topologies have equal texts. */
export function fingerprint(topology: Topology, rename: Rename = {}): string {
  const stored = (name: string): string => storedName(name, rename);
  const value: Fingerprint = {
    format: 1,
    subTopologies: topology.subTopologies
      .map((sub) => ({
        name: sub.name,
        partitions: sub.partitions,
        inputs: sub.inputs.map((input) => input.topic).toSorted(),
        states: [...sub.tables.map(stored), ...sub.states.map((state) => state.name)].toSorted(),
      }))
      .toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    tables: topology.tables.map(stored).toSorted(),
    windows: Object.fromEntries(
      Object.entries(topology.windows)
        .map(([table, shape]) => [stored(table), shape] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1)),
    ),
  };
  return JSON.stringify(value);
}

/**
 * What would be lost, or processed twice, if an app with fingerprint `next` took over from `stored`, a line for each. Empty: nothing.
 */
export function orphans(stored: string, next: string): readonly string[] {
  if (stored === next) return [];
  const before = JSON.parse(stored) as Fingerprint;
  const after = JSON.parse(next) as Fingerprint;
  const found: string[] = [];
  const oldNames = new Set(before.subTopologies.map(({ name }) => name));
  for (const old of before.subTopologies) {
    const sub = after.subTopologies.find(({ name }) => name === old.name);
    // Positions belong to a sub-topology by its name: under another one its topics would be processed twice.
    const heir = after.subTopologies.find(
      ({ name, inputs }) =>
        !oldNames.has(name) && inputs.some((topic) => old.inputs.includes(topic)),
    );
    if (sub === undefined && heir !== undefined)
      found.push(
        `~ ${old.name} would become ${heir.name}, which would read ${old.inputs.filter((topic) => heir.inputs.includes(topic)).join(' and ')} again from its start`,
      );
    for (const state of old.states) {
      const home = after.subTopologies.find(({ states }) => states.includes(state));
      if (home === undefined)
        found.push(
          after.tables.includes(state)
            ? `~ ${state} would move out of ${old.name}: no declared stream updates it any more`
            : `- ${state} (state of ${old.name}) is not declared any more`,
        );
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
  for (const [table, shape] of Object.entries(before.windows)) {
    const wanted = after.windows[table];
    if (String(wanted) !== String(shape) && after.tables.includes(table))
      found.push(
        `~ table ${table} has ${windowText(shape)} and would have ${wanted === undefined ? 'none' : windowText(wanted)}`,
      );
  }
  return found;
}

/** What is not the same in two fingerprints, a line for each: `+` for what only `here` has, `-` for what only `there` has. */
export function differences(here: string, there: string): readonly string[] {
  const ours = JSON.parse(here) as Fingerprint;
  const theirs = JSON.parse(there) as Fingerprint;
  const found = [...extra('+', ours, theirs), ...extra('-', theirs, ours)];
  for (const { name, partitions, inputs } of ours.subTopologies) {
    const other = theirs.subTopologies.find((sub) => sub.name === name);
    if (other === undefined) continue;
    if (other.partitions !== partitions)
      found.push(`~ ${name} has ${partitions} partitions instead of ${other.partitions}`);
    if (String(other.inputs) !== String(inputs))
      found.push(
        `~ ${name} reads ${inputs.join(' and ')} instead of ${other.inputs.join(' and ')}`,
      );
  }
  for (const table of ours.tables) {
    const [shape, other] = [ours.windows[table], theirs.windows[table]];
    if (String(shape) !== String(other) && theirs.tables.includes(table))
      found.push(`~ table ${table} has ${windowText(shape)} instead of ${windowText(other)}`);
  }
  return found;
}

/** What `a` has and `b` has not. */
function* extra(sign: string, a: Fingerprint, b: Fingerprint): Generator<string> {
  for (const { name, inputs, states } of a.subTopologies) {
    const sub = b.subTopologies.find((other) => other.name === name);
    if (sub === undefined) yield `${sign} ${name}, which reads ${inputs.join(' and ')}`;
    else
      for (const state of states)
        if (!sub.states.includes(state)) yield `${sign} ${state}, state of ${name}`;
  }
  for (const table of a.tables) if (!b.tables.includes(table)) yield `${sign} table ${table}`;
}

function windowText(shape: WindowShape | undefined): string {
  if (shape === undefined) return 'no windows';
  if (typeof shape === 'number') return `windows of ${shape} ms`;
  return `windows of ${shape[0]} ms every ${shape[1]} ms`;
}

/**
 * Refuses a topology that would orphan state.
 *
 * @throws `MR_TOPOLOGY_CHANGED` with the difference, `MR_VERSION_UNSUPPORTED` for what a newer version stored.
 */
export function checkChange(app: string, stored: string | undefined, next: string): void {
  if (stored === undefined) return;
  if ((JSON.parse(stored) as Fingerprint).format !== 1)
    throw new MillraceError(
      'MR_VERSION_UNSUPPORTED',
      `app ${app} was last started by a newer version of millrace; upgrade this one`,
      { details: { app } },
    );
  const lines = orphans(stored, next);
  if (lines.length > 0)
    throw new MillraceError(
      'MR_TOPOLOGY_CHANGED',
      `app ${app} was changed in a way that would leave stored state behind:\n${lines.map((line) => `  ${line}`).join('\n')}\n` +
        `Take the change back, say with the option rename what something was called before, or raise the app's version to start afresh.`,
      { details: { app, changes: lines } },
    );
}
