/**
 * Agents as users hold them.
 *
 * @module
 */
import type { Schema } from '../codec/schema.ts';
import { MillraceError } from '../core/errors.ts';
import type { EventCell } from '../core/event.ts';
import type { Awaitable } from '../core/types.ts';
import { agentContext, agentOperator } from '../runtime/agent-instance.ts';
import type { AgentContext, AnyAgentBody } from '../runtime/agent-instance.ts';
import { streamEvent } from '../runtime/agent-stream.ts';
import type { AgentStream, StreamEvent } from '../runtime/agent-stream.ts';
import { isTaskScope } from '../runtime/scope.ts';
import type { TaskScope } from '../runtime/scope.ts';
import type {
  Accepts,
  MakeOperator,
  Receive,
  Scope,
  SinkPort,
  SinkTarget,
} from '../stream/operator.ts';
import type { Stream } from '../stream/stream.ts';
import type { ProcessingCell } from '../table/processing.ts';
import type { Topic } from './topic.ts';

/** What an agent may yield to. */
export interface AgentOptions<Out> {
  /**
   * Where results go, in this order: topics and agents within the task's commit, functions before it and therefore at least once. The
   * body goes on when all have taken a result.
   */
  readonly sinks?: readonly SinkTarget<NoInfer<Out>>[] | undefined;
}

/** No topic: the agent gets one of its own, named after app and agent. */
export interface OwnTopic<K, V> {
  readonly key?: Schema<K, unknown> | undefined;
  readonly value: Schema<V, unknown>;
  readonly partitions?: number | undefined;
}

/** Where an agent's events come from. */
export type Source<K, V> = Topic<K, V, never> | Stream<V, K>;

/** A function over the events of one task, as an async generator, or as an async function when it has no results. */
export type AgentBody<K, V, Out> = (
  stream: AgentStream<V, K>,
  context: AgentContext,
) => AsyncIterable<Out> | Promise<void>;

/** A function over one event; what it returns goes to the sinks, `undefined` goes nowhere. */
export type EachFunction<K, V, Out> = (
  value: V,
  event: StreamEvent<V, K>,
  context: AgentContext,
) => Awaitable<Out | undefined | void>;

/** A declared agent. Events reach it through its source, or directly with {@link Agent.cast}. */
export class Agent<K, In, Out> implements Accepts<In>, SinkPort {
  declare readonly '~accepts': (value: In) => void;
  /** Only a type: what the agent yields. */
  declare readonly '~out': Out;
  readonly name: string;
  readonly #inbox: Topic<K, unknown, In> | undefined;

  /** @internal Use `app.agent` or `app.each`. `inbox` is the topic it reads, if it reads one. */
  constructor(name: string, inbox: Topic<K, unknown, In> | undefined) {
    this.name = name;
    this.#inbox = inbox;
  }

  /**
   * Sends an event to the agent through the topic that it reads, and resolves when it is durable.
   *
   * @throws `MR_ARGUMENT_INVALID` for an agent whose source is a stream with operators; otherwise as `topic.send`.
   */
  async cast(value: In, options: { readonly key?: K | undefined } = {}): Promise<void> {
    const inbox = this.#mustInbox();
    await inbox.send(...([value, options] as unknown as Parameters<typeof inbox.send>));
  }

  /** How it takes part in a graph. Not for programs. */
  '~sink'(scope: Scope): Receive {
    return this.#mustInbox()['~sink'](scope);
  }

  #mustInbox(): Topic<K, unknown, In> {
    if (this.#inbox === undefined)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `agent ${this.name} reads a stream with operators, so nothing can be sent to it directly; send to the topic at the head of its source`,
      );
    return this.#inbox;
  }
}

/** Makes the operator of an agent. */
export function agentNode(
  name: string,
  body: AnyAgentBody,
  sinks: readonly SinkTarget<never>[],
): MakeOperator {
  return (_output, scope) =>
    agentOperator(name, body, sinkReceivers(sinks, mustTask(scope, name)), mustTask(scope, name));
}

/** Makes the operator of an agent that is a function of one event. */
export function eachNode(
  name: string,
  fn: EachFunction<unknown, unknown, unknown>,
  sinks: readonly SinkTarget<never>[],
): MakeOperator {
  return (_output, scope) => {
    const task = mustTask(scope, name);
    const receivers = sinkReceivers(sinks, task);
    const context = agentContext(task);
    return async (value, event) => {
      if (event === null) return;
      const cell = cellOf(task, event);
      try {
        const result = await task.processing.run(cell, () =>
          fn(value, streamEvent(value, event), context),
        );
        if (result !== undefined) for (const sink of receivers) await sink(result, event);
      } finally {
        cell.event = null;
      }
    };
  };
}

/** A cell for one event: what the event leaves running is told apart from the next one. */
function cellOf({ cell }: TaskScope, event: EventCell): ProcessingCell {
  return { tables: cell.tables, event, send: cell.send };
}

function sinkReceivers(sinks: readonly SinkTarget<never>[], scope: TaskScope): Receive[] {
  return sinks.map((target) => {
    if (typeof target === 'function') {
      const call = target as (value: unknown) => unknown;
      return (value) => call(value) as void | Promise<void>;
    }
    return (target as unknown as SinkPort)['~sink'](scope);
  });
}

function mustTask(scope: Scope, name: string): TaskScope {
  if (!isTaskScope(scope))
    throw new MillraceError('MR_NOT_IN_AN_APP', `agent ${name} can only run in an app`);
  return scope;
}
