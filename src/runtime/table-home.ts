/**
 * Where the rows of a table live.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import type { TableHome } from '../table/definition.ts';
import type { Fingerprint } from '../topology/compare.ts';
import { decodeMeta } from './meta.ts';

/** The sub-topology whose tasks hold a table: the one that declares its updates, else the one that has stored rows of it. */
export async function tableHome(
  broker: Broker,
  group: string,
  table: string,
): Promise<TableHome | undefined> {
  const info = await broker.describeGroup(group);
  if (info === undefined) return undefined;
  const { subTopologies } = JSON.parse(info.topology) as Fingerprint;
  const home = (name: string): TableHome | undefined => {
    const sub = subTopologies.find((each) => each.name === name);
    return sub === undefined ? undefined : { table, subTopology: name, partitions: sub.partitions };
  };
  const declared = subTopologies.find(({ states }) => states.includes(table));
  if (declared !== undefined) return home(declared.name);
  const task = info.tasks.find(({ id, meta }) => decodeMeta(meta, id).tables.includes(table));
  return task === undefined ? undefined : home(task.id.slice(0, task.id.lastIndexOf('/')));
}
