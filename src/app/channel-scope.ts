/**
 * What surrounds an agent that reads a channel: what a task offers, as far as there can be such a thing without one.
 *
 * Topics and tables do not find such an agent's code, since it has an async context of its own: to them it is code outside of processing, so a
 * send goes straight to the broker, and using a table is `MR_TABLE_OUTSIDE`.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { GuardContext } from '../runtime/guard.ts';
import { guarded } from '../runtime/guard.ts';
import type { TaskScope } from '../runtime/scope.ts';
import type { Policy } from '../stream/policy.ts';
import { Processing } from '../table/processing.ts';
import type { ProcessingCell, TaskTables } from '../table/processing.ts';

/** What the scope is made of. */
export interface ChannelScopeOptions extends Pick<TaskScope, 'attach' | 'want'> {
  readonly agent: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly group: string;
  readonly policy: Policy;
  /** Aborts when the agent is to let go of everything. */
  readonly signal: AbortSignal;
}

/** The scope of one start of an agent. */
export function channelScope(options: ChannelScopeOptions): TaskScope {
  const { agent, clock, logger, group, policy, signal, attach, want } = options;
  const processing = new Processing();
  const outside = (): never => {
    throw new MillraceError('MR_INTERNAL', `agent ${agent} of a channel was taken for a task`, {
      domain: 'internal',
    });
  };
  const tables: TaskTables = {
    partition: 0,
    partitions: 1,
    streamTime: -Infinity,
    keyed: outside,
    windowed: outside,
    late: outside,
    changes: () => undefined,
    sink: outside,
  };
  const cell: ProcessingCell = { tables, event: null, send: outside };
  const guards: GuardContext = {
    clock,
    signal,
    processing,
    cellFor: (event) => ({ ...cell, event, concurrent: true }),
    skipped: () => logger.warn({ group, agent }, `agent ${agent} skipped a value of its channel`),
    deadLetter: outside,
  };
  return {
    kind: 'task',
    task: agent,
    partition: 0,
    clock,
    processing,
    signal,
    cell,
    guards,
    policy,
    // Nothing is committed, so it may acknowledge by hand.
    atLeastOnce: true,
    attach,
    want,
    state: outside,
    guard: (by, next) => guarded(guards, by, next),
    send: outside,
    forward: (topic) => {
      throw new MillraceError(
        'MR_SEND_OUTSIDE',
        `agent ${agent} forwarded a value of its channel to topic ${topic}, and there is no record to forward; send it`,
        { details: { agent, topic } },
      );
    },
    reply: () => undefined,
  };
}
