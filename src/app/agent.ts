/**
 * Agents as users hold them.
 *
 * @module
 */
import type { Schema } from '../codec/schema.ts';
import { MillraceError } from '../core/errors.ts';
import { checkOptions, kindOf } from '../core/given.ts';
import type { Known } from '../core/given.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import type { Awaitable } from '../core/types.ts';
import { agentOperator } from '../runtime/agent-instance.ts';
import type { AgentContext, AgentRun, AnyAgentBody } from '../runtime/agent-instance.ts';
import type { AgentStream, StreamEvent } from '../runtime/agent-stream.ts';
import { eachOperator } from '../runtime/each-operator.ts';
import { isTaskScope } from '../runtime/scope.ts';
import type { TaskScope } from '../runtime/scope.ts';
import type {
  Accepts,
  MakeOperator,
  Operator,
  Receive,
  Scope,
  SinkPort,
  SinkTarget,
} from '../stream/operator.ts';
import { isSinkPort } from '../stream/operators/sink.ts';
import type { Stream } from '../stream/stream.ts';
import { policyOf } from '../stream/policy.ts';
import type { OnError } from '../stream/policy.ts';
import { askAll, askEach } from './ask-many.ts';
import type { AskOne } from './ask-many.ts';
import type { AskOptions } from './ask.ts';
import type { Channel } from './channel.ts';
import { checkWaits, inRange } from './options.ts';
import type { Topic } from './topic.ts';

/** What an agent may yield to. */
export interface AgentOptions<Out> {
  /**
   * Where results go, in this order: topics and agents within the task's commit, functions before it and therefore at least once. The
   * body goes on when all have taken a result.
   */
  readonly sinks?: readonly SinkTarget<NoInfer<Out>>[] | undefined;
  /**
   * How many events of a task are worked on at once, 1 to 10,000: by so many bodies of an agent, or calls of an `each`. Events of one key keep
   * their order; those without a key do not. Default 1.
   */
  readonly concurrency?: number | undefined;
  /** What becomes of an event that failed. Default: what the app says. */
  readonly onError?: OnError | undefined;
  /** A body that was begun anew more than `max` times within `per` makes the worker fail. Default: any number of times. Not for `each`. */
  readonly restarts?: { readonly max: number; readonly per: Duration } | undefined;
}

const AGENT_OPTIONS: Known<AgentOptions<never>> = {
  sinks: true,
  concurrency: true,
  onError: true,
  restarts: true,
};

/** No topic: the agent gets one of its own, named after app and agent. */
export interface OwnTopic<K, V> {
  readonly key?: Schema<K, unknown> | undefined;
  readonly value: Schema<V, unknown>;
  readonly partitions?: number | undefined;
}

/** Where an agent's events come from. */
export type Source<K, V> = Topic<K, V, never> | Stream<V, K> | Channel<V>;

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

/** How what is sent to an agent directly reaches it. Errors as in {@link Agent}. */
export interface AgentPort {
  cast(value: unknown, key: unknown): Promise<void>;
  ask(value: unknown, options: AskOptions<unknown>): Promise<unknown>;
  sink(scope: Scope): Receive;
}

/** A declared agent. Events reach it through its source, or directly: with {@link Agent.cast}, or with a question. */
export class Agent<K, In, Out> implements Accepts<In>, SinkPort {
  declare readonly '~accepts': (value: In) => void;
  /** Only a type: what the agent yields. */
  declare readonly '~out': Out;
  readonly name: string;
  readonly #port: AgentPort;
  readonly #instances: () => number;

  /**
   * Sends an event to the agent through the topic that it reads, and resolves with the first result for it, once that is committed. From any
   * process that declares the app; the event is processed by whichever worker has its partition. With `take` a result belongs to the last event of
   * its group. Not there for agents that never yield.
   *
   * @throws `MR_NO_REPLY` when the event is finished without a result; `MR_PROCESSING_FAILED` when the agent's policy gave it up, with the error as
   * `cause`, or the result cannot be sent as msgpack; `MR_TIMEOUT` (retryable), `MR_ABORTED`; `MR_OVERFLOW` (retryable) when 10,000 questions wait;
   * `MR_ARGUMENT_INVALID` within event processing, unless the app is at-least-once, and for an agent that cannot be sent to; `MR_CLOSED`. Otherwise
   * as `topic.send`.
   */
  readonly ask: [Out] extends [undefined]
    ? never
    : (value: In, options?: AskOptions<K>) => Promise<Out>;

  /**
   * Asks for each of the `values`, and gives the answers as they come, in whatever order. Up to 256 questions are under way at once. The first error
   * ends it, and so does leaving it; questions that were sent are processed all the same. Errors as in {@link Agent.ask}.
   */
  readonly map: [Out] extends [undefined]
    ? never
    : (
        values: Iterable<In> | AsyncIterable<In>,
        options?: AskOptions<K>,
      ) => AsyncIterableIterator<Out>;

  /** {@link Agent.map}, with all answers together, in the order of the values. */
  readonly join: [Out] extends [undefined]
    ? never
    : (values: Iterable<In>, options?: AskOptions<K>) => Promise<Out[]>;

  /** @internal Use `app.agent` or `app.each`. */
  constructor(name: string, port: AgentPort, instances: () => number) {
    this.name = name;
    this.#port = port;
    this.#instances = instances;
    const askWith =
      (options: AskOptions<K>): AskOne<In, Out> =>
      async (value, signal) =>
        (await port.ask(value, { ...options, signal })) as Out;
    const ask = async (value: In, options: AskOptions<K> = {}): Promise<Out> =>
      (await port.ask(value, options)) as Out;
    const map = (
      values: Iterable<In> | AsyncIterable<In>,
      options: AskOptions<K> = {},
    ): AsyncIterableIterator<Out> => askEach(values, askWith(options), options.signal);
    const join = (values: Iterable<In>, options: AskOptions<K> = {}): Promise<Out[]> =>
      askAll(values, askWith(options), options.signal);
    this.ask = ask as never;
    this.map = map as never;
    this.join = join as never;
  }

  /**
   * Sends an event to the agent through the topic or channel that it reads, and resolves when it is durable, or in the channel.
   *
   * @throws `MR_ARGUMENT_INVALID` for an agent whose source is a stream with operators, or a channel if there is a key; otherwise as `topic.send` or
   * `channel.put`.
   */
  async cast(value: In, options: { readonly key?: K | undefined } = {}): Promise<void> {
    await this.#port.cast(value, options.key);
  }

  /** `instances`: how many tasks of this process run it now, each with as many bodies as its `concurrency` says. */
  info(): { readonly name: string; readonly instances: number } {
    return { name: this.name, instances: this.#instances() };
  }

  /** How it takes part in a graph. Not for programs. */
  '~sink'(scope: Scope): Receive {
    return this.#port.sink(scope);
  }
}

/** Whether a body can yield, as far as can be told: an async function cannot. */
export function canYield(body: unknown): boolean {
  return !(typeof body === 'function' && body.constructor.name === 'AsyncFunction');
}

/** How an agent of these options is run. @throws `MR_OPTION_INVALID` */
export function agentRun(
  name: string,
  options: Omit<AgentOptions<never>, 'sinks'>,
  drainTimeoutMs: number,
): AgentRun {
  checkOptions(`agent ${name}`, options, AGENT_OPTIONS);
  const policy =
    options.onError === undefined
      ? undefined
      : policyOf(options.onError, `onError of agent ${name}`);
  if (policy !== undefined) checkWaits(`onError of agent ${name}`, policy, drainTimeoutMs);
  const { restarts } = options;
  return {
    concurrency: inRange(`concurrency of agent ${name}`, options.concurrency ?? 1, 1, 10_000),
    policy,
    restarts:
      restarts === undefined
        ? undefined
        : {
            max: inRange(`restarts.max of agent ${name}`, restarts.max, 0, 1_000_000),
            perMs: durationMs(restarts.per, `restarts.per of agent ${name}`, 1),
          },
  };
}

/** Makes the operator of an agent for its scope; sinks live in a scope that may be another one. */
export type MakeAgent = (scope: TaskScope, sinks: Scope) => Operator;

/** An agent with a body. */
export function bodyAgent(
  name: string,
  body: AnyAgentBody,
  sinks: readonly SinkTarget<never>[],
  run: AgentRun,
): MakeAgent {
  return (scope, around) => agentOperator(name, body, sinkReceivers(sinks, around), scope, run);
}

/** An agent that is a function of one event. */
export function eachAgent(
  name: string,
  fn: EachFunction<unknown, unknown, unknown>,
  sinks: readonly SinkTarget<never>[],
  run: AgentRun,
): MakeAgent {
  return (scope, around) => eachOperator(name, fn, sinkReceivers(sinks, around), scope, run);
}

/** An agent in a graph. `counted` is told of each instance that begins (1) and ends (-1). */
export function agentNode(
  name: string,
  make: MakeAgent,
  counted: (change: 1 | -1) => void = () => undefined,
): MakeOperator {
  return (_output, scope) => {
    const task = mustTask(scope, name);
    const operator = make(task, task);
    counted(1);
    return {
      ...operator,
      close: () => {
        operator.close?.();
        counted(-1);
      },
    };
  };
}

function sinkReceivers(sinks: readonly SinkTarget<never>[], scope: Scope): Receive[] {
  return sinks.map((target) => {
    if (typeof target === 'function') {
      const call = target as (value: unknown) => unknown;
      return (value) => call(value) as void | Promise<void>;
    }
    return (target as unknown as SinkPort)['~sink'](scope);
  });
}

/** The sinks of an agent, checked. @throws `MR_OPTION_INVALID` */
export function sinksOf(agent: string, given: unknown): readonly SinkTarget<never>[] {
  if (given === undefined) return [];
  if (!Array.isArray(given))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `sinks of agent ${agent} are ${kindOf(given)}; give an array, such as { sinks: [topic] }`,
      { details: { agent } },
    );
  for (const sink of given)
    if (typeof sink !== 'function' && !isSinkPort(sink))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `agent ${agent} has ${kindOf(sink)} among its sinks; give topics, agents, channels and functions`,
        { details: { agent } },
      );
  return given as readonly SinkTarget<never>[];
}

function mustTask(scope: Scope, name: string): TaskScope {
  if (!isTaskScope(scope))
    throw new MillraceError('MR_NOT_IN_AN_APP', `agent ${name} can only run in an app`);
  return scope;
}
