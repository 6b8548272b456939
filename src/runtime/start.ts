/**
 * Where a task begins to read.
 *
 * @module
 */
import type { Broker, OwnedTask } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';
import type { TopologyInput } from '../topology/topology.ts';
import type { StartFrom } from './task-options.ts';

/** A place to begin at. */
export interface Start {
  readonly offset: number;
  /** Records in front of it that were deleted before they were read. */
  readonly lost: number;
}

/**
 * The place to begin at in each of `inputs`: behind what the last commit covers, else where `startFrom` says; topics between tasks from their
 * first record on.
 *
 * @throws `MR_OFFSET_LOST` when records behind the last commit are gone, unless `onOffsetLost` is `'skip'`.
 */
export async function findStarts(
  broker: Broker,
  owned: OwnedTask,
  inputs: readonly TopologyInput[],
  partition: number,
  how: { readonly startFrom: StartFrom; readonly onOffsetLost: 'fail' | 'skip' },
): Promise<Start[]> {
  const starts: Start[] = [];
  for (const { topic, role } of inputs) {
    const bounds = await broker.bounds(topic, partition);
    const at = owned.positions.find(
      (position) => position.topic === topic && position.partition === partition,
    );
    if (at === undefined) {
      const latest = role === 'source' && how.startFrom === 'latest';
      starts.push({ offset: latest ? bounds.end : bounds.start, lost: 0 });
      continue;
    }
    const lost = Math.max(0, bounds.start - at.offset);
    if (lost > 0 && how.onOffsetLost === 'fail')
      throw new MillraceError(
        'MR_OFFSET_LOST',
        `task ${owned.id} stopped at offset ${at.offset} of ${topic}[${partition}], but the topic begins at ${bounds.start} by now: ${lost} records were deleted before they were read. Give the topic a longer retention; to go on without them start the app with onOffsetLost: 'skip'`,
        {
          domain: 'external',
          details: {
            task: owned.id,
            topic,
            partition,
            offset: at.offset,
            start: bounds.start,
            lost,
          },
        },
      );
    starts.push({ offset: at.offset + lost, lost });
  }
  return starts;
}
