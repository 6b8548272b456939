/**
 * The simulated machine with its processes: workers of one app, and a loader that sends to it. Starts them anew when they die, as a supervisor
 * does, and carries out faults.
 *
 * @module
 */
import type { Broker } from '../../src/broker/broker.ts';
import type { FrameView } from '../../src/broker/frame-view.ts';
import { logTables, openLog } from '../../src/broker/log/index.ts';
import { sleep } from '../../src/core/clock.ts';
import { MillraceError } from '../../src/core/errors.ts';
import type { Random } from '../../src/core/random.ts';
import type { Worker } from '../../src/runtime/worker.ts';
import { Disk } from './disk.ts';
import type { DiskFault } from './disk.ts';
import { Machine, START_MS } from './machine.ts';
import { Network } from './network.ts';
import type { MessageFault } from './network.ts';
import { Schedule } from './schedule.ts';
import type { Declared, Fact, Input, Scenario, Sizes } from './scenario.ts';
import { Violation } from './violation.ts';
import { Watch } from './watch.ts';
import type { SeenTopic } from './watch.ts';

/** How often a process that has failed is started anew at most. */
const MOST_STARTS = 200;

/** How long a worker may take to stop. */
const STOP_MS = 5_000;

/** How long after a fault a process may fail because of it. */
const SUFFERS_MS = 20_000;
/** What it may fail with then: the disk. A loader may be replaced by another one besides. */
const suffered: readonly string[] = ['MR_IO', 'MR_DISK_FULL'];

/** A place for a process, which is started anew when it dies. */
export interface Slot {
  readonly number: number;
  readonly kind: 'worker' | 'loader';
  machine: Machine | undefined;
  worker: Worker | undefined;
  /** Whether it is meant to run. */
  wanted: boolean;
  restartMs: number;
}

export interface WorldOptions {
  readonly scenario: Scenario;
  readonly sizes: Sizes;
  readonly inputs: readonly Input[];
  /** Of the schedule. */
  readonly random: Random;
  /** Of what processes leave to chance. */
  readonly seed: number;
  readonly workers: number;
  readonly pollMs: number;
  readonly tell: ((line: string) => void) | undefined;
  /** Asked about each commit of a process. */
  readonly diskFault: (by: Machine) => DiskFault | undefined;
  readonly slowDiskMs: () => number;
  readonly messageFault: () => MessageFault | undefined;
  readonly settings: {
    readonly intervalMs: number;
    readonly every: number;
    readonly leaseMs: number;
    readonly idleAfterMs: number;
    readonly checkpointEntries: number;
    readonly maintainEveryMs: number;
  };
}

export class World {
  readonly schedule: Schedule;
  readonly disk: Disk;
  readonly network: Network;
  readonly watch: Watch;
  readonly slots: Slot[] = [];
  readonly values: Map<string, unknown[]> = new Map();
  /** What code of the app has noted. */
  readonly facts: Fact[] = [];
  /** When something went wrong last: for a while processes may fail for reasons outside. */
  lastFaultMs = 0;
  loaded = false;
  violation: unknown;
  readonly #options: WorldOptions;
  readonly #once = new Map<string, Map<string, number>>();
  /** Inputs that a loader knows to be stored: it may have told somebody. */
  #acknowledged = 0;
  #machines = 0;
  #starts = 0;

  constructor(options: WorldOptions) {
    const { random, diskFault, slowDiskMs, messageFault, tell } = options;
    this.#options = options;
    this.schedule = new Schedule(random);
    this.watch = new Watch({ appended: (...seen) => this.#appended(...seen), tell });
    this.disk = new Disk(logTables, this.schedule, {
      fault: diskFault,
      slow: slowDiskMs,
      committed: (writes, by) => this.watch.committed(writes, by),
    });
    this.network = new Network(this.schedule, { fault: messageFault });
    for (let i = 0; i < options.workers; i++) this.#addSlot('worker');
    this.#addSlot('loader');
  }

  get workers(): readonly Slot[] {
    return this.slots.filter(({ kind }) => kind === 'worker');
  }

  tell(line: string): void {
    this.#options.tell?.(line);
  }

  /** A line is to be told: whoever builds it asks first. */
  get telling(): boolean {
    return this.#options.tell !== undefined;
  }

  #addSlot(kind: Slot['kind']): void {
    this.slots.push({
      number: this.slots.length,
      kind,
      machine: undefined,
      worker: undefined,
      wanted: false,
      restartMs: 100,
    });
  }

  /** Starts the process of a slot, after the one before it has died. */
  start(slot: Slot): void {
    slot.wanted = true;
    if (slot.machine !== undefined && !slot.machine.dead) return;
    if (++this.#starts > MOST_STARTS)
      throw new Violation('liveness', `processes were started ${MOST_STARTS} times`);
    const number = this.#machines++;
    const name = `${slot.kind === 'worker' ? 'w' : 'l'}${number}`;
    const machine = new Machine(
      this.schedule,
      number,
      name,
      this.#options.seed + 7_919 * (number + 1),
    );
    slot.machine = machine;
    slot.worker = undefined;
    this.tell(`${name} starts`);
    machine.onDeath(() => {
      if (this.telling) this.tell(`${name} is dead`);
      slot.worker = undefined;
      this.schedule.after(slot.restartMs, undefined, 'plan', () => {
        if (slot.wanted && slot.machine === machine) this.start(slot);
      });
    });
    this.schedule.soon(machine, 'turn', () => {
      const run = slot.kind === 'worker' ? this.#work(slot, machine) : this.#load(machine);
      run.catch((error: unknown) => this.#failed(machine, error));
    });
  }

  /** A process has ended by itself. */
  #failed(machine: Machine, error: unknown): void {
    if (machine.dead) return;
    const lately = this.schedule.nowMs - this.lastFaultMs < SUFFERS_MS;
    const known = machine.name.startsWith('l') ? [...suffered, 'MR_FENCED'] : suffered;
    const expected = lately && MillraceError.is(error) && known.includes(error.code);
    if (this.telling) this.tell(`${machine.name} fails: ${messageOf(error)}`);
    if (!expected && this.violation === undefined)
      this.violation =
        error instanceof Violation
          ? error
          : new Violation('failure', `${machine.name} has failed: ${messageOf(error)}`);
    machine.die();
  }

  /** Has the worker of a slot finish and leave. */
  stop(slot: Slot): void {
    const { machine, worker } = slot;
    slot.wanted = false;
    if (machine === undefined || machine.dead) return;
    if (worker === undefined) {
      machine.die();
      return;
    }
    this.schedule.soon(machine, 'plan', () => {
      worker.stop(STOP_MS).catch((error: unknown) => {
        if (this.telling) this.tell(`${machine.name} would not stop: ${messageOf(error)}`);
        machine.die();
      });
    });
  }

  /** Starts another loader under the same id; the one before lives on. */
  usurp(): void {
    const slot = this.slots.at(-1) as Slot;
    if (!slot.wanted || slot.machine === undefined) return;
    slot.machine = undefined;
    this.start(slot);
  }

  /** The group of the app. */
  get group(): string {
    return this.#options.scenario.group;
  }

  async open(machine: Machine): Promise<Broker> {
    return await openLog({
      kv: this.disk.open(machine),
      url: 'memory:simulation',
      clock: machine.clock,
      random: machine.random,
      links: this.network.open(machine),
      pollMs: this.#options.pollMs,
    });
  }

  #declare(machine: Machine, broker: () => Promise<Broker>): Declared {
    const { scenario, sizes, settings } = this.#options;
    const { clock, random } = machine;
    const { intervalMs, every, leaseMs, idleAfterMs, checkpointEntries, maintainEveryMs } =
      settings;
    const log = (_fields: unknown, message: string): void => {
      if (this.telling) this.tell(`${machine.name} says: ${message}`);
    };
    const declared = scenario.declare({
      sizes,
      clock,
      random,
      note: (fact) => {
        this.facts.push({ by: machine, atMs: this.schedule.nowMs, fact });
        if (this.telling) this.tell(`${machine.name} notes ${JSON.stringify(fact)}`);
      },
      leads: () => this.#leads(machine),
      options: {
        broker: 'memory:simulation',
        clock,
        random,
        lease: leaseMs,
        idleAfter: idleAfterMs,
        maintainEvery: Math.max(1_000, maintainEveryMs),
        commit: { interval: intervalMs, every },
        logger: { debug: () => undefined, info: () => undefined, warn: log, error: log },
      },
    });
    const before = declared.app['~replace']({ open: broker });
    if (checkpointEntries > 0)
      declared.app['~replace']({ commit: { ...before.commit, checkpointEntries } });
    return declared;
  }

  async #work(slot: Slot, machine: Machine): Promise<void> {
    const broker = await this.open(machine);
    const { app } = this.#declare(machine, () => Promise.resolve(broker));
    const start = await app['~processes']();
    const { worker, beside } = await start(broker);
    slot.worker = worker;
    if (this.telling) this.tell(`${machine.name} works as ${worker.member}`);
    const end = new AbortController();
    const failed = (error: unknown): void => this.#failed(machine, error);
    const besides = beside.run(end.signal, failed, {
      housekeeping: () => this.#keepHouse(broker, machine, end.signal),
    });
    await worker.run();
    end.abort();
    await besides;
    await broker.close();
    this.tell(`${machine.name} has stopped`);
    machine.die();
  }

  async #keepHouse(broker: Broker, machine: Machine, signal: AbortSignal): Promise<void> {
    const { maintainEveryMs } = this.#options.settings;
    while (!signal.aborted) {
      try {
        await sleep(machine.clock, maintainEveryMs, signal);
        await broker.maintain({ notWithinMs: maintainEveryMs / 2, signal });
      } catch (error) {
        if (signal.aborted) return;
        if (!(MillraceError.is(error) && error.domain === 'external')) throw error;
      }
    }
  }

  async #load(machine: Machine): Promise<void> {
    const { inputs, sizes } = this.#options;
    const { clock, random } = machine;
    const broker = await this.open(machine);
    const { source } = this.#declare(machine, () => Promise.resolve(broker));
    const told = this.#acknowledged;
    const producer = await source.producer<number>({
      id: 'loader',
      batch: 1 + random.below(8),
      linger: random.below(20),
      maxInFlight: 1 + random.below(4),
    });
    const from = (producer.position ?? -1) + 1;
    if (from < told)
      throw new Violation(
        'durability',
        `the loader was told that inputs up to ${told} are stored, and finds them up to ${from}`,
      );
    if (this.telling) this.tell(`${machine.name} sends from input ${from} on`);
    for (let at = from; at < inputs.length; at++) {
      if (random.below(3) === 0) await sleep(clock, random.below(sizes.gapMs * 6));
      const input = inputs[at] as Input;
      await producer.send(input, { key: input.user, position: at });
      if (random.below(8) > 0) continue;
      await producer.flush();
      this.#acknowledged = Math.max(this.#acknowledged, at + 1);
    }
    await producer.close();
    this.loaded = true;
    if (this.telling) this.tell(`${machine.name} has sent everything`);
    (this.slots.at(-1) as Slot).wanted = false;
    machine.die();
  }

  /** A job of the leader. It cannot throw to us: what jobs throw is their app's. */
  #leads(machine: Machine): void {
    try {
      this.watch.reigns.check(machine);
    } catch (error) {
      this.violation ??= error;
    }
  }

  #appended(topic: SeenTopic, frame: FrameView, partition: number): void {
    const { once: names, often = {} } = this.#options.scenario;
    const known = names[topic.name];
    const name = (known ?? often[topic.name]) as ((value: unknown) => string) | undefined;
    if (name === undefined) return;
    let list = this.values.get(topic.name);
    if (list === undefined) this.values.set(topic.name, (list = []));
    const values = valuesOf(frame);
    list.push(...values);
    if (known !== undefined) this.#checkOnce(topic, values.map(name), frame.baseOffset, partition);
    if (this.telling)
      this.tell(`${topic.name}[${partition}] gets ${values.map((value) => name(value)).join(' ')}`);
  }

  #checkOnce(topic: SeenTopic, names: readonly string[], base: number, partition: number): void {
    let once = this.#once.get(topic.name);
    if (once === undefined) this.#once.set(topic.name, (once = new Map()));
    names.forEach((id, i) => {
      const offset = base + i;
      const before = once.get(id);
      if (before !== undefined)
        throw new Violation(
          'exactly once',
          `${topic.name} has ${id} twice, at ${before} and ${offset} of partition ${partition}`,
        );
      once.set(id, offset);
    });
  }
}

/** Dead letters stand in their frames as they were stored, one by one. */
function valuesOf(frame: FrameView): unknown[] {
  if (frame.text) return frame.json();
  return Array.from({ length: frame.count }, (_, i): unknown => {
    const value = frame.value(i);
    return value === null ? null : JSON.parse(Buffer.from(value).toString());
  });
}

/** Event times of a run begin with its clock. */
export const FIRST_EVENT_MS: number = START_MS;

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = MillraceError.is(error) ? `${error.code} ` : '';
  return `${code}${error.message}`;
}
