/**
 * Error policies in a task: what a failed event has changed is taken back first, then its policy is carried out.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { Effects } from '../core/effects.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import type { Headers } from '../core/types.ts';
import { isPromise } from '../core/types.ts';
import { carryOut } from '../stream/carry-out.ts';
import type { Receive } from '../stream/operator.ts';
import type { Policy } from '../stream/policy.ts';
import type { Processing, ProcessingCell } from '../table/processing.ts';
import { isForPolicy, LetThrough, Replay } from './replay.ts';
import { withWaits } from './waits.ts';

/** What a guard needs of its task. */
export interface GuardContext {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly processing: Processing;
  /** A cell for the event, beside the task's own. */
  cellFor(event: EventCell): ProcessingCell;
  /** An event was given up. Taken back with its effects. */
  skipped(event: EventCell): void;
  /** An event goes to a topic, within the commit. Taken back with its effects. */
  deadLetter(topic: string, event: EventCell, error: unknown, attempts: number): void;
}

/** `next` under `policy`; each value on a copy of its cell, with effects of its own. */
export function guarded(context: GuardContext, policy: Policy, next: Receive): Receive {
  return (value, from) => {
    if (from === null) return next(value, from);
    // The whole event may be taken back while this part of it waits in front of an agent.
    const effects = from.effects?.fork() ?? new Effects();
    const event: EventCell = { ...from, effects };
    const attempt = (): void | Promise<void> => {
      const cell = context.cellFor(event);
      const end = (): void => {
        cell.event = null;
      };
      let result: void | Promise<void>;
      try {
        result = withWaits(
          cell,
          context.processing.within(cell, () => next(value, event)),
        );
      } catch (error) {
        end();
        throw error;
      }
      if (isPromise(result)) return result.finally(end);
      end();
    };
    const succeed = (): void => {
      if (from.effects === null) effects.settle();
      else from.effects.join(effects);
    };
    const fail = (thrown: unknown): void | Promise<void> => {
      checkPlace(event, policy, thrown);
      const settled = settleFailure(context, policy, event, from, thrown, attempt);
      return isPromise(settled) ? settled.then(succeed) : succeed();
    };
    try {
      const result = attempt();
      if (isPromise(result)) return result.then(succeed, fail);
    } catch (error) {
      return fail(error);
    }
    succeed();
  };
}

/**
 * Takes back what `event` has done and carries out `policy`. What becomes of it is on behalf of `from`: the same event, or the one that it is a
 * copy of.
 *
 * @throws {@link LetThrough}, {@link Replay}, and errors that are no matter for policies as they are.
 */
export function settleFailure(
  context: GuardContext,
  policy: Policy,
  event: EventCell,
  from: EventCell,
  error: unknown,
  attempt: () => void | Promise<void>,
): void | Promise<void> {
  // Where nothing goes on, nothing has to be taken back.
  if (policy.failsAtOnce || !isForPolicy(error)) return letThrough(error);
  takeBack(event, error);
  try {
    const settled = carryOut(policy, error, {
      clock: context.clock,
      signal: context.signal,
      attempt: () => attemptCleanly(event, attempt),
      isForPolicy,
      skipped: () => context.skipped(from),
      deadLetter: (topic, last, attempts) => context.deadLetter(topic, from, last, attempts),
    });
    return isPromise(settled) ? settled.catch(letThrough) : settled;
  } catch (last) {
    return letThrough(last);
  }
}

/**
 * An event that failed in front of an agent and is to be tried again keeps its place: nothing behind it is taken meanwhile.
 *
 * @throws {@link Replay} if something has been already, because the event had come to an agent with another part of it.
 */
export function checkPlace(event: EventCell, policy: Policy, error: unknown): void {
  const { effects, flight } = event;
  if (!policy.retries || !isForPolicy(error) || effects?.beside !== true) return;
  if (flight?.isOvertaken?.() === true) throw new Replay(event, error);
}

/** The changes of a branch become its event's, or take effect if nobody keeps those. */
export function settleInto(event: EventCell, branch: Effects): void {
  if (event.effects === null) branch.settle();
  else event.effects.adopt(branch);
}

/** @throws {@link Replay} when something else has built on what is to be taken back. */
function takeBack(event: EventCell, cause: unknown): void {
  if (event.effects?.rollback() === false) throw new Replay(event, cause);
}

function attemptCleanly(
  event: EventCell,
  attempt: () => void | Promise<void>,
): void | Promise<void> {
  const failed = (error: unknown): never => {
    if (isForPolicy(error)) takeBack(event, error);
    throw error;
  };
  try {
    const result = attempt();
    return isPromise(result) ? result.catch(failed) : result;
  } catch (error) {
    return failed(error);
  }
}

/** Headers of a dead letter: those that the record had, and what is known of its failure. Texts are cut at 1,000 characters. */
export function deadLetterHeaders(
  task: string,
  event: EventCell,
  error: unknown,
  attempts: number,
): Headers {
  const name = error instanceof Error ? error.name : typeof error;
  const headers: Record<string, string | Uint8Array> = {
    ...event.headers,
    'mr-error-name': name,
    'mr-error-message': messageOf(error).slice(0, 1_000),
    'mr-origin-topic': event.topic,
    'mr-origin-partition': String(event.partition),
    'mr-origin-offset': String(event.offset),
    'mr-origin-timestamp': String(event.timestamp),
    'mr-task': task,
    'mr-attempts': String(attempts),
  };
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? error.code
      : undefined;
  if (code !== undefined) headers['mr-error-code'] = code.slice(0, 100);
  return headers;
}

/** The error that a worker ends with: what was thrown, and where. */
export function processingFailed(task: string, event: EventCell, error: unknown): MillraceError {
  const key =
    event.key === null ? 'no key' : `key ${JSON.stringify(String(event.key.key).slice(0, 80))}`;
  // An error of millrace's own says itself what to try.
  const advice = MillraceError.is(error)
    ? ''
    : '; mend it and start again, or say with onError what becomes of such events';
  return new MillraceError(
    'MR_PROCESSING_FAILED',
    `processing failed at ${event.topic}[${event.partition}] offset ${event.offset}, ${key}: ${messageOf(error)}${advice}`,
    {
      cause: error,
      details: {
        topic: event.topic,
        partition: event.partition,
        offset: event.offset,
        key: event.key?.key ?? null,
        task,
      },
    },
  );
}

function letThrough(error: unknown): never {
  throw isForPolicy(error) ? new LetThrough(error) : error;
}
