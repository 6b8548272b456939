/**
 * One instance of an agent: the body, running beside a task and fed by it.
 *
 * @module
 */
import { sleep } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import type { Operator, Receive } from '../stream/operator.ts';
import { AgentFeed, agentStream } from './agent-stream.ts';
import type { AgentStream } from './agent-stream.ts';
import type { TaskScope } from './scope.ts';

/** What a body gets besides its stream. */
export interface AgentContext {
  /** Aborts when the task ends: give it to whatever waits. */
  readonly signal: AbortSignal;
  readonly task: { readonly partition: number };
  /** Waits on the app's clock; rejects with `MR_ABORTED` when the task ends. */
  sleep(duration: Duration): Promise<void>;
}

/** What an agent does. It yields results, or returns a promise of the end of its loop. */
export type AnyAgentBody = (
  stream: AgentStream<unknown, unknown>,
  context: AgentContext,
) => AsyncIterable<unknown> | Promise<void>;

/** The context of a body in a task. */
export function agentContext(scope: TaskScope): AgentContext {
  return {
    signal: scope.signal,
    task: { partition: scope.partition },
    sleep: (duration) => sleep(scope.clock, durationMs(duration, 'duration'), scope.signal),
  };
}

/**
 * The operator that runs `body`. Results go to `sinks`, one after the other, before the body goes on; with no event delivered
 * they carry no key.
 */
export function agentOperator(
  name: string,
  body: AnyAgentBody,
  sinks: readonly Receive[],
  scope: TaskScope,
): Operator {
  const feed = new AgentFeed();
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    try {
      const result = body(agentStream(feed), agentContext(scope));
      if (isAsyncIterable(result)) {
        for await (const value of result)
          for (const sink of sinks) await sink(value, feed.current?.event ?? null);
      } else if (isPromise(result)) {
        await result;
      } else {
        throw new MillraceError(
          'MR_ARGUMENT_INVALID',
          `the body of agent ${name} returned neither an async iterable nor a promise; write it as async function* or as an async function`,
        );
      }
      if (!scope.signal.aborted)
        throw new MillraceError(
          'MR_PROCESSING_FAILED',
          `the body of agent ${name} ended although its stream goes on; loop over the stream with for await, and do not break out of it`,
          {
            details: { agent: name },
          },
        );
    } catch (error) {
      if (scope.signal.aborted) feed.end();
      else feed.fail(error);
      failure = error;
    }
  };
  let failure: unknown;
  return {
    inputs: [
      (value, event) => {
        if (failure !== undefined) throw failure;
        if (event === null)
          throw new MillraceError(
            'MR_INTERNAL',
            `agent ${name} was given a value without an event`,
            { domain: 'internal' },
          );
        const finished = feed.offer(value, event);
        running ??= run();
        return finished;
      },
    ],
    close() {
      feed.end();
    },
  };
}

/** Plain JavaScript returns anything. */
function isAsyncIterable(result: unknown): result is AsyncIterable<unknown> {
  return typeof result === 'object' && result !== null && Symbol.asyncIterator in result;
}
