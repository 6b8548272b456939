/**
 * What a started app does in a process beside its workers: jobs, listeners and agents of channels.
 *
 * @module
 */
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { checkFunction, checkOptions } from '../core/given.ts';
import { validName } from '../core/names.ts';
import type { Topology } from '../topology/topology.ts';
import { Hooks } from './hooks.ts';
import type { AppEvents, Listener, Listening } from './hooks.ts';
import { JOB_OPTIONS, runTask } from './jobs.ts';
import type { Job, JobFunction, JobOptions, JobScope } from './jobs.ts';
import { Leadership } from './leader.ts';
import type { ChannelAgent } from './channel-agent.ts';
import type { Settings } from './options.ts';
import type { StartContext } from './starting.ts';
import { runTimer } from './timer.ts';

/** How long a listener may take. */
const LISTENER_DEADLINE = '10s';

/** The jobs, listeners and agents of channels of an app. */
export class BesideDeclared {
  readonly jobs: Job[] = [];
  readonly listening: Listening[] = [];
  readonly agents: ChannelAgent[] = [];

  /** @throws `MR_ARGUMENT_INVALID`, `MR_NAME_INVALID`, `MR_NAME_TAKEN`. */
  addTask(fn: JobFunction, options: JobOptions): void {
    this.#add('task', fn, 0, options);
  }

  /** @throws the same, and `MR_OPTION_INVALID` for an interval under 1 ms. */
  addTimer(interval: Duration, fn: JobFunction, options: JobOptions): void {
    this.#add('timer', fn, durationMs(interval, 'interval of a timer', 1), options);
  }

  #add(kind: Job['kind'], fn: JobFunction, intervalMs: number, options: JobOptions): void {
    checkFunction(`a ${kind}`, fn);
    checkOptions(`a ${kind}`, options, JOB_OPTIONS);
    const number = this.jobs.filter((job) => job.kind === kind).length + 1;
    const name = options.name === undefined ? `${kind} ${number}` : validName('job', options.name);
    if (this.jobs.some((job) => job.name === name))
      throw new MillraceError(
        'MR_NAME_TAKEN',
        `two jobs of the app are called ${name}; give one of them another name`,
        { details: { name } },
      );
    this.jobs.push({ name, kind, onLeader: options.onLeader ?? false, fn, intervalMs });
  }

  /** @throws `MR_ARGUMENT_INVALID` for an event that there is not; `MR_OPTION_INVALID`. */
  listen<E extends keyof AppEvents>(
    event: E,
    fn: Listener<E>,
    deadline: Duration | undefined,
  ): void {
    const events = ['partitionsAssigned', 'partitionsRevoked', 'recovered'];
    if (!events.includes(event))
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `${String(event)} is no event of an app; listen to ${events.join(', ')}`,
        { details: { event } },
      );
    checkFunction(`a listener to ${event}`, fn);
    const deadlineMs = durationMs(
      deadline ?? LISTENER_DEADLINE,
      `deadline of a listener to ${event}`,
      1,
    );
    this.listening.push({ event, fn, deadlineMs });
  }
}

/** What runs beside the workers of one start. */
export class Beside {
  readonly #jobs: readonly Job[];
  readonly #agents: readonly ChannelAgent[];
  readonly #settings: Settings;
  readonly #hooks: Hooks;
  readonly #leadership: Leadership;
  readonly #busy = new Set<string>();

  /** @throws `MR_TOPOLOGY_INVALID` when a job is for the leader of an app that can have none. */
  constructor({ jobs, listening, agents }: BesideDeclared, topology: Topology, settings: Settings) {
    const { clock, logger, id } = settings;
    this.#jobs = jobs;
    this.#agents = agents;
    this.#settings = settings;
    this.#leadership = new Leadership(topology);
    this.#hooks = new Hooks(listening, topology, { clock, logger, app: id });
    for (const { name, onLeader } of jobs) if (onLeader) this.#leadership.require(id, name);
  }

  /** What workers tell. */
  get told(): Pick<StartContext, 'onTasks' | 'onRecovered'> {
    return {
      onTasks: (change) => {
        this.#leadership.changed(change);
        return this.#hooks.changed(change);
      },
      onRecovered: (task, rows) => this.#hooks.recovered(task, rows),
    };
  }

  /** What has not ended yet, for the error of a stop that takes too long. */
  get busy(): readonly string[] {
    return [...this.#busy];
  }

  /** Runs the jobs, the agents of channels and `others`, until `signal` aborts and all have ended. Never rejects: tells `failed` of what does. */
  async run(
    signal: AbortSignal,
    failed: (error: unknown) => void,
    others: Readonly<Record<string, () => Promise<void>>> = {},
  ): Promise<void> {
    const { clock, logger, id, group, policy } = this.#settings;
    // Whoever starts an app has it in the hand before its jobs run.
    await clock.turn();
    const scope: JobScope = {
      clock,
      logger,
      app: id,
      group,
      leadership: this.#leadership,
      signal,
    };
    const parts: (readonly [string, () => Promise<void>])[] = this.#jobs.map((job) => [
      job.name,
      () => (job.kind === 'task' ? runTask(job, scope) : runTimer(job, scope)),
    ]);
    for (const agent of this.#agents) {
      const around = { clock, logger, group, policy };
      parts.push([`agent ${agent.name}`, () => agent.run(signal, around)]);
    }
    parts.push(...Object.entries(others));
    await Promise.all(
      parts.map(async ([name, run]) => {
        this.#busy.add(name);
        await run().catch(failed);
        this.#busy.delete(name);
      }),
    );
  }
}
