/**
 * Old names for new parts: what a program calls differently by now goes on with the state that it had.
 *
 * State is found by names: of sub-topologies (positions, changelogs, topics behind a `groupBy`), of tables and of operator states. A renamed part
 * simply keeps its old name wherever something is stored.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { SubTopology, Topology } from './topology.ts';

/** Stored name by declared name. */
export type Rename = Readonly<Record<string, string>>;

/**
 * The topology under its stored names. Tables keep their declared names in `tables` of sub-topologies, which is what running code goes by: their
 * stored names are the matter of {@link storedName}.
 *
 * @throws `MR_OPTION_INVALID` for a name that the app does not declare, and for two parts under one name.
 */
export function renameTopology(topology: Topology, group: string, rename: Rename): Topology {
  if (Object.keys(rename).length === 0) return topology;
  checkNames(topology, rename);
  const topics = new Map<string, string>();
  for (const sub of topology.subTopologies)
    for (const { topic } of sub.cuts) {
      const before = `${group}-${sub.name}-`;
      if (topic.startsWith(before))
        topics.set(topic, `${group}-${storedName(sub.name, rename)}-${topic.slice(before.length)}`);
    }
  const topicOf = (topic: string): string => topics.get(topic) ?? topic;
  return {
    ...topology,
    subTopologies: topology.subTopologies.map((sub): SubTopology => ({
      ...sub,
      name: storedName(sub.name, rename),
      inputs: sub.inputs.map((input) => ({ ...input, topic: topicOf(input.topic) })),
      cuts: sub.cuts.map((cut) => ({
        ...cut,
        topic: topicOf(cut.topic),
        transparentFrom:
          cut.transparentFrom === undefined ? undefined : topicOf(cut.transparentFrom),
      })),
      states: sub.states.map(({ node, name }) => ({ node, name: storedName(name, rename) })),
    })),
  };
}

/** The name that something is stored under. */
export function storedName(name: string, rename: Rename): string {
  return Object.hasOwn(rename, name) ? (rename[name] as string) : name;
}

function checkNames(topology: Topology, rename: Rename): void {
  const names = [
    ...topology.tables,
    ...topology.subTopologies.flatMap((sub) => [sub.name, ...sub.states.map(({ name }) => name)]),
  ];
  for (const [name, stored] of Object.entries(rename)) {
    if (!names.includes(name))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `rename says what ${name} was called before, but app ${topology.app} has no such table, state or part; it has ${names.length === 0 ? 'none' : names.join(', ')}`,
        { details: { name, names } },
      );
    if (typeof stored !== 'string' || stored === '')
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `rename gives ${name} the former name ${JSON.stringify(stored)}; give the name that it is stored under`,
        { details: { name } },
      );
  }
  const taken = new Map<string, string>();
  for (const name of names) {
    const stored = storedName(name, rename);
    const other = taken.get(stored);
    if (other !== undefined && other !== name)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `both ${other} and ${name} would be stored as ${stored}; give one of them another name in rename`,
        { details: { names: [other, name], stored } },
      );
    taken.set(stored, name);
  }
}
