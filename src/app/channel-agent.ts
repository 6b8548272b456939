/**
 * Agents that read a channel: they run beside the tasks of the app, in this process only, and nothing of them is stored.
 *
 * The values of the channel become events without key, headers and place. The queue of the agent is there from its declaration on, so what is
 * put before the app is started, or between two starts, waits.
 *
 * @module
 */
import { abortError } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { EventCell, Flight } from '../core/event.ts';
import type { Logger } from '../core/log.ts';
import { END } from '../core/queue.ts';
import type { BoundedQueue } from '../core/queue.ts';
import type { AgentRun } from '../runtime/agent-instance.ts';
import { LetThrough } from '../runtime/replay.ts';
import type { AttachedAgent } from '../runtime/scope.ts';
import type { Operator, Receive } from '../stream/operator.ts';
import type { Policy } from '../stream/policy.ts';
import { processScope } from '../stream/process-scope.ts';
import type { MakeAgent } from './agent.ts';
import { channelScope } from './channel-scope.ts';
import type { Channel } from './channel.ts';

/** How long values that are under way may take when the app stops: well within the deadline of a stop. */
const DRAIN_MS = 10_000;

/** What an agent of a channel needs of its app. */
export interface ChannelAgentContext {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly group: string;
  /** What becomes of values that fail where the agent has no policy of its own. */
  readonly policy: Policy;
}

/** An agent and its queue. */
export class ChannelAgent {
  readonly name: string;
  readonly #make: MakeAgent;
  readonly #run: AgentRun;
  readonly #queue: BoundedQueue<readonly [unknown]>;
  /** Taken from the queue, and not seen by anybody when the app stopped. */
  #again: unknown[] = [];
  #running = false;
  #count = 0;

  /** @throws `MR_OPTION_INVALID` for a policy that needs records. */
  constructor(
    name: string,
    channel: Channel<unknown>,
    make: MakeAgent,
    run: AgentRun,
    appPolicy: Policy,
  ) {
    this.name = name;
    this.#make = make;
    this.#run = run;
    const { steps } = run.policy ?? appPolicy;
    const letter = steps.find((step) => step.step === 'deadLetter');
    if (letter !== undefined)
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `agent ${name} reads a channel, whose values are no records and cannot go to topic ${letter.topic} as dead letters; give the agent an onError of its own: 'fail', 'skip' or retry`,
        { details: { agent: name, topic: letter.topic } },
      );
    this.#queue = channel['~read']();
  }

  /** 1 while it runs. */
  get instances(): number {
    return this.#running ? 1 : 0;
  }

  /**
   * Runs until `signal` aborts. Values that user code has then may be finished within 10 s, before its own signal aborts; the others wait for the next
   * start.
   *
   * @throws `MR_PROCESSING_FAILED` for a value that failed and that no policy has settled.
   */
  async run(signal: AbortSignal, context: ChannelAgentContext): Promise<void> {
    const work = new Work(this.name, this.#make, this.#run, context);
    const stop = AbortSignal.any([signal, work.failed]);
    this.#running = true;
    try {
      while (!stop.aborted) {
        if (work.full) await work.moved(stop);
        else work.begin(await this.#next(stop), this.#count++);
      }
    } catch (error) {
      if (!stop.aborted) throw error;
    } finally {
      this.#again.push(...(await work.end()));
      this.#running = false;
    }
    work.throwFailure();
  }

  async #next(signal: AbortSignal): Promise<unknown> {
    if (this.#again.length > 0) return this.#again.shift();
    const box = await this.#queue.shift(signal);
    if (box === END) throw abortError(signal);
    return box[0];
  }
}

/** A value that was given to user code, or is about to be. */
interface UnderWay {
  readonly value: unknown;
  readonly flight: Flight;
}

/** What is under way in one start of an agent. */
class Work {
  readonly #name: string;
  readonly #context: ChannelAgentContext;
  readonly #operator: Operator;
  readonly #agents: AttachedAgent[] = [];
  readonly #underWay = new Set<UnderWay>();
  readonly #abort = new AbortController();
  readonly #failed = new AbortController();
  #failure: { readonly error: unknown } | undefined;
  #room: number;
  #moved = Promise.withResolvers<void>();

  constructor(name: string, make: MakeAgent, run: AgentRun, context: ChannelAgentContext) {
    this.#name = name;
    this.#context = context;
    // Bodies take turns, so some values must be able to wait behind a slow one.
    this.#room = run.concurrency === 1 ? 1 : run.concurrency * 2;
    const scope = channelScope({
      ...context,
      agent: name,
      signal: this.#abort.signal,
      attach: (agent) => this.#agents.push(agent),
      want: (events) => {
        this.#room = Math.max(this.#room, events);
        this.#moved.resolve();
      },
    });
    this.#operator = make(scope, processScope(context.clock));
  }

  /** Aborts when a value has failed for good. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  get full(): boolean {
    return this.#underWay.size >= this.#room;
  }

  /** Resolves when something has been finished or has failed, or `signal` aborts. */
  async moved(signal?: AbortSignal): Promise<void> {
    const wake = (): void => this.#moved.resolve();
    signal?.addEventListener('abort', wake, { once: true });
    if (signal?.aborted !== true) await this.#moved.promise;
    signal?.removeEventListener('abort', wake);
    this.#moved = Promise.withResolvers();
  }

  begin(value: unknown, number: number): void {
    const flight = { queues: 0, delivered: false, withdrawn: false, streamTime: -Infinity };
    const event: EventCell = {
      topic: '',
      partition: 0,
      offset: number,
      timestamp: this.#context.clock.now(),
      key: null,
      headers: null,
      raw: null,
      effects: null,
      flight,
    };
    const one = { value, flight };
    this.#underWay.add(one);
    void this.#give(one, event);
  }

  /** Never rejects. */
  async #give(one: UnderWay, event: EventCell): Promise<void> {
    const receive = this.#operator.inputs[0] as Receive;
    try {
      await receive(one.value, event);
    } catch (error) {
      if (!this.#abort.signal.aborted) {
        this.#failure ??= { error };
        this.#failed.abort();
      }
    }
    this.#underWay.delete(one);
    this.#moved.resolve();
  }

  /** Lets what user code has be finished, and ends the agent. Returns the values that nobody has seen. */
  async end(): Promise<unknown[]> {
    const unseen = [...this.#underWay].filter(({ flight }) => !flight.delivered);
    for (const one of unseen) {
      one.flight.withdrawn = true;
      this.#underWay.delete(one);
    }
    for (const agent of this.#agents) agent.sweep();
    const { clock, logger, group } = this.#context;
    let late = false;
    const deadline = clock.setTimer(DRAIN_MS, () => {
      late = true;
      this.#moved.resolve();
    });
    while (this.#underWay.size > 0 && this.#failure === undefined && !late) await this.moved();
    deadline.cancel();
    if (late)
      logger.warn(
        { group, agent: this.#name },
        `agent ${this.#name} had ${this.#underWay.size} values of its channel under way ${DRAIN_MS} ms after it was to stop, and they are lost; end what takes long when the signal of the context aborts`,
      );
    this.#abort.abort(new MillraceError('MR_ABORTED', `agent ${this.#name} has been stopped`));
    this.#operator.close?.();
    return unseen.map(({ value }) => value);
  }

  /** @throws `MR_PROCESSING_FAILED` */
  throwFailure(): void {
    if (this.#failure === undefined) return;
    const { error } = this.#failure;
    const cause = error instanceof LetThrough ? error.cause : error;
    if (MillraceError.is(cause) && cause.code === 'MR_PROCESSING_FAILED') throw cause;
    throw new MillraceError(
      'MR_PROCESSING_FAILED',
      `agent ${this.#name} failed with a value of its channel: ${messageOf(cause)}`,
      { cause, details: { agent: this.#name } },
    );
  }
}
