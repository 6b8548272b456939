/**
 * How far the tasks of groups are behind what is stored.
 *
 * @module
 */
import type { Broker, GroupInfo, PartitionBounds } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';

/** An input of a task, and how far it is behind. */
export interface LagRow {
  readonly group: string;
  readonly task: string;
  readonly topic: string;
  readonly partition: number;
  /** The next record that the task will read. */
  readonly offset: number;
  readonly end: number;
  /** Records that are there and not processed: at most, since compacted ones count. */
  readonly lag: number;
  /** Records that were deleted before the task had read them. */
  readonly lost: number;
}

/** The bounds of partitions, each asked for once. */
export class Bounds {
  readonly #broker: Broker;
  readonly #known = new Map<string, PartitionBounds | undefined>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** `undefined`: there is no such topic any more. */
  async of(topic: string, partition: number): Promise<PartitionBounds | undefined> {
    const key = `${topic}/${partition}`;
    if (!this.#known.has(key)) this.#known.set(key, await this.#ask(topic, partition));
    return this.#known.get(key);
  }

  async #ask(topic: string, partition: number): Promise<PartitionBounds | undefined> {
    try {
      return await this.#broker.bounds(topic, partition);
    } catch (error) {
      if (MillraceError.is(error) && error.code === 'MR_UNKNOWN_TOPIC') return undefined;
      throw error;
    }
  }
}

/** A line for each input of each task that has committed. */
export async function lagRows(group: string, info: GroupInfo, bounds: Bounds): Promise<LagRow[]> {
  const rows: LagRow[] = [];
  for (const { id, positions } of info.tasks)
    for (const { topic, partition, offset } of positions) {
      const { start, end } = (await bounds.of(topic, partition)) ?? { start: 0, end: offset };
      rows.push({
        group,
        task: id,
        topic,
        partition,
        offset,
        end,
        lag: Math.max(0, end - Math.max(offset, start)),
        lost: Math.max(0, start - offset),
      });
    }
  return rows;
}

/** What is stored of a group. @throws `MR_ARGUMENT_INVALID` for one that is not there, naming those that are. */
export async function mustDescribe(broker: Broker, group: string): Promise<GroupInfo> {
  const info = await broker.describeGroup(group);
  if (info !== undefined) return info;
  const known = await broker.groups();
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `there is no group ${JSON.stringify(group)} on ${broker.url}; ${known.length === 0 ? 'no app has been started there' : `there are ${known.slice(0, 20).join(', ')}`}`,
    { details: { group } },
  );
}
