/**
 * How far a group is behind what is stored: records that no commit covers yet.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { taskId } from '../topology/topology.ts';
import type { SubTopology } from '../topology/topology.ts';

/** Records in the inputs of all tasks of a group that are not committed, those on their way between tasks included. */
export async function groupLag(
  broker: Broker,
  group: string,
  subTopologies: readonly SubTopology[],
): Promise<number> {
  const info = await broker.describeGroup(group);
  const tasks = new Map((info?.tasks ?? []).map((task) => [task.id, task]));
  let lag = 0;
  for (const sub of subTopologies)
    for (let partition = 0; partition < sub.partitions; partition++) {
      const positions = tasks.get(taskId(sub.name, partition))?.positions ?? [];
      for (const { topic, partitions } of sub.inputs) {
        if (partition >= partitions) continue;
        const { start, end } = await broker.bounds(topic, partition);
        const at = positions.find((each) => each.topic === topic && each.partition === partition);
        lag += end - Math.max(start, at?.offset ?? start);
      }
    }
  return lag;
}
