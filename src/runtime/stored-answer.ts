/**
 * Answers about rows from what is stored, without the owner of their task.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { MillraceError } from '../core/errors.ts';
import { recover } from '../state/recovery.ts';
import { answerQuestion } from '../table/question.ts';
import { changelogTopic } from '../topology/topology.ts';
import { decodeMeta } from './meta.ts';
import type { TaskOptions } from './task-options.ts';

/** The answer of a task as of its last commit. @throws `MR_NO_OWNER` for a task that there never was. */
export async function readStoredAnswer(
  broker: Broker,
  group: string,
  task: string,
  question: Uint8Array,
  table: TaskOptions['table'],
): Promise<Uint8Array> {
  const info = await broker.describeGroup(group);
  const stored = info?.tasks.find(({ id }) => id === task);
  if (stored === undefined)
    throw new MillraceError(
      'MR_NO_OWNER',
      `nothing is stored of task ${task} of group ${group}; start the app first`,
      { domain: 'external', retryable: true, details: { group, task } },
    );
  const slash = task.lastIndexOf('/');
  const changelog = changelogTopic(group, task.slice(0, slash));
  const { state } = await recover(
    broker,
    changelog,
    Number(task.slice(slash + 1)),
    stored.stateId,
    // One row is wanted: it is in the changelog or looked up in the checkpoint, which is of some commit as well if it moves meanwhile.
    { cacheRows: 1 },
  );
  const time = decodeMeta(stored.meta, task).time ?? -Infinity;
  state.follow(() => time);
  return answerQuestion(state, time, table, question).answer;
}
