/**
 * One run: what a seed draws, what happens then, and what was found.
 *
 * @module
 */
import { partitionOf } from '../../src/codec/partition.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { Random } from '../../src/core/random.ts';
import type { DiskFault } from './disk.ts';
import { drain } from './drain.ts';
import { drawFaults, faultText } from './faults.ts';
import type { Fault } from './faults.ts';
import type { Rows } from './fold.ts';
import { fenced } from './guard.ts';
import { Machine } from './machine.ts';
import type { MessageFault } from './network.ts';
import { large } from './scenario.ts';
import type { Ending, Input, Scenario, Sizes } from './scenario.ts';
import { checkState, recovered } from './state-check.ts';
import { Violation } from './violation.ts';
import { FIRST_EVENT_MS, World } from './world.ts';
import type { Slot } from './world.ts';

/** How long after the last fault everything must be processed. Virtual. */
const LIVE_MS = 60_000;
/** Steps of a run; beyond that something goes in circles. */
const MOST_STEPS = 60_000;
/** How long a run goes on when everything is done, for what comes too much. Virtual. */
const AFTER_MS = 80;
/** Of how many runs one is large, whatever the scenario. */
const LARGE = 25;
const WORKERS = 3;

export interface RunOptions {
  readonly seed: number;
  readonly scenario: Scenario;
  /** Instead of what the seed draws. */
  readonly faults?: readonly Fault[] | undefined;
  /** Takes the lines of the story. */
  readonly tell?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly seed: number;
  /** Of every decision of the scheduler. */
  readonly hash: number;
  readonly steps: number;
  readonly virtualMs: number;
  readonly faults: readonly Fault[];
  readonly violation: Violation | undefined;
}

/** Runs a seed. To be called directly on the event loop: see `fromMacrotask`. */
export function run(options: RunOptions): RunResult {
  let result: RunResult | undefined;
  try {
    return fenced(() => (result = new Run(options).go()));
  } catch (error) {
    if (result === undefined || !(error instanceof Violation)) throw error;
    return { ...result, violation: result.violation ?? error };
  }
}

class Run {
  readonly #seed: number;
  readonly #scenario: Scenario;
  readonly #sizes: Sizes;
  readonly #inputs: readonly Input[];
  readonly #faults: readonly Fault[];
  readonly #world: World;
  /** Those that run at first. */
  readonly #workers: number;
  #commits = 0;
  #slowMs = 0;
  #noise: Extract<Fault, { kind: 'noise' }> | undefined;
  #next = 0;
  readonly #timed: readonly Exclude<Fault, { kind: 'disk' }>[];

  constructor({ seed, scenario, faults, tell }: RunOptions) {
    const draw = seededRandom(mix(seed, 1));
    const random = seededRandom(mix(seed, 2));
    const scale = draw.below(LARGE) === 0 ? large : scenario.scale;
    const exact = draw.below(4) > 0;
    this.#seed = seed;
    this.#scenario = scenario;
    this.#sizes = {
      exact,
      events: between(scale.events, draw),
      partitions: oneOf(scale.partitions, draw),
      graceMs: 400,
      disorderMs: exact ? 300 : 900,
      gapMs: 1 + draw.below(20),
      concurrency: 1 + draw.below(3),
    };
    this.#inputs = drawInputs(this.#sizes, draw);
    const leaseMs = 500 + draw.below(1_000);
    const settings = {
      intervalMs: 10 + draw.below(80),
      every: draw.below(3) === 0 ? 2 + draw.below(8) : 1_000,
      leaseMs,
      idleAfterMs: exact ? 600_000 : 200,
      checkpointEntries: draw.below(3) === 0 ? 0 : 2 + draw.below(20),
      maintainEveryMs: 150 + draw.below(1_500),
    };
    const tempo = {
      fastMs: oneOf([0.05, 0.5, 3], draw),
      slowMs: oneOf([2, 20, 100], draw),
      slow: oneOf([0.02, 0.1, 0.3], draw),
    };
    this.#workers = oneOf(scale.workers, draw);
    const pollMs = oneOf([100, 500, 2_000], draw);
    this.#faults =
      faults ?? drawFaults(seededRandom(mix(seed, 4)), WORKERS + 1, scale.faultSteps, leaseMs);
    this.#timed = this.#faults.filter((fault) => fault.kind !== 'disk');
    const world: World = new World({
      scenario,
      sizes: this.#sizes,
      inputs: this.#inputs,
      random,
      seed: mix(seed, 3),
      workers: WORKERS,
      pollMs,
      tell: tell && ((line) => tell(`${world.schedule.nowMs.toFixed(3).padStart(10)}  ${line}`)),
      diskFault: () => this.#diskFault(),
      slowDiskMs: () => (this.#slowMs > 0 ? this.#slowMs : random.below(8) === 0 ? 0.5 : 0),
      messageFault: () => this.#messageFault(random.below(4)),
      settings,
    });
    world.schedule.tempo = tempo;
    this.#world = world;
  }

  go(): RunResult {
    const world = this.#world;
    let violation: Violation | undefined;
    try {
      for (const slot of world.workers.slice(0, this.#workers)) world.start(slot);
      world.start(world.slots.at(-1) as Slot);
      this.#live();
      this.#check();
    } catch (error) {
      violation = asViolation(error);
      world.tell(`VIOLATION of ${violation.invariant}: ${violation.message}`);
    }
    const { hash, steps, nowMs } = world.schedule;
    return {
      seed: this.#seed,
      hash,
      steps,
      virtualMs: nowMs,
      faults: this.#faults,
      violation,
    };
  }

  /** Until everything is done, and a little longer. */
  #live(): void {
    const world = this.#world;
    const { schedule } = world;
    let doneMs = Infinity;
    for (;;) {
      const untilMs = Math.min(world.lastFaultMs + LIVE_MS, doneMs + AFTER_MS);
      const more = schedule.step(untilMs);
      if (world.violation !== undefined) throw world.violation;
      if (!more) {
        if (doneMs < Infinity) return;
        if (this.#next >= this.#timed.length) throw this.#stuck();
        // Nothing is due any more: what was to happen at later steps happens now.
        this.#hit(this.#timed[this.#next++] as Exclude<Fault, { kind: 'disk' }>);
        continue;
      }
      if (schedule.steps > MOST_STEPS) throw this.#stuck();
      while (this.#next < this.#timed.length) {
        const fault = this.#timed[this.#next] as Exclude<Fault, { kind: 'disk' }>;
        if (fault.step > schedule.steps) break;
        this.#next++;
        this.#hit(fault);
        doneMs = Infinity;
      }
      if (this.#looked === this.#progress) continue;
      if (!this.#done()) doneMs = Infinity;
      else if (doneMs === Infinity) {
        this.#next = this.#timed.length;
        doneMs = schedule.nowMs;
      }
    }
  }

  /** What may have brought the end. */
  get #progress(): number {
    const { watch, loaded, facts } = this.#world;
    return (watch.commits + facts.length) * 2 + (loaded ? 1 : 0);
  }

  #looked = -1;

  #done(): boolean {
    const world = this.#world;
    this.#looked = this.#progress;
    if (!world.loaded || world.watch.lag > 0 || world.watch.tasks.size === 0) return false;
    return this.#scenario.complete(this.#ending());
  }

  #stuck(): Violation {
    const { watch, loaded, schedule, lastFaultMs } = this.#world;
    const tasks = [...watch.tasks.values()].flatMap(({ id, owner, positions }) =>
      positions.flatMap(({ topic, partition, offset }) => {
        const end = watch.endOf(topic, partition);
        return offset < end ? [`${id} (owner ${owner}) is at ${offset} of ${end} of ${topic}`] : [];
      }),
    );
    return new Violation(
      'liveness',
      `${Math.round(schedule.nowMs - lastFaultMs)} ms after the last fault, ${schedule.steps} steps in all, ${loaded ? '' : 'not everything is sent, '}the lag is ${watch.lag}, and outputs are ${JSON.stringify(Object.fromEntries([...this.#world.values].map(([topic, values]) => [topic, values.length])))} for ${this.#inputs.length} inputs: ${tasks.join(', ')}`,
    );
  }

  #hit(fault: Exclude<Fault, { kind: 'disk' }>): void {
    const world = this.#world;
    const { schedule } = world;
    const slot = 'slot' in fault ? (world.slots[fault.slot] as Slot) : undefined;
    const machine = slot?.machine?.dead === false ? slot.machine : undefined;
    if (world.telling) world.tell(`FAULT ${faultText(fault)}`);
    world.lastFaultMs = schedule.nowMs;
    switch (fault.kind) {
      case 'kill':
        if (slot !== undefined) slot.restartMs = fault.restartMs;
        machine?.die();
        break;
      case 'pause':
        if (machine === undefined || machine.paused) break;
        machine.pause();
        schedule.after(fault.forMs, undefined, 'plan', () => {
          if (machine.dead) return;
          world.lastFaultMs = schedule.nowMs;
          if (world.telling) world.tell(`${machine.name} wakes`);
          machine.wake();
        });
        break;
      case 'stop':
        if (slot === undefined || world.workers.filter(({ wanted }) => wanted).length < 2) break;
        world.stop(slot);
        break;
      case 'join':
        if (slot !== undefined) world.start(slot);
        break;
      case 'jump':
        machine?.jump(fault.byMs);
        break;
      case 'cut':
        if (machine !== undefined) world.network.cut(machine);
        break;
      case 'usurp':
        world.usurp();
        break;
      case 'noise':
        this.#noise = fault;
        break;
      case 'slow':
        this.#slowMs = fault.ms;
        this.#slowUntil = fault.step + fault.steps;
        break;
    }
  }

  #slowUntil = 0;

  #diskFault(): DiskFault | undefined {
    const commit = this.#commits++;
    const world = this.#world;
    if (world.schedule.steps > this.#slowUntil) this.#slowMs = 0;
    for (const fault of this.#faults) {
      if (fault.kind !== 'disk' || commit < fault.commit) continue;
      if (commit >= fault.commit + fault.commits) continue;
      world.lastFaultMs = world.schedule.nowMs;
      if (world.telling) world.tell(`FAULT ${faultText(fault)} at commit ${commit}`);
      return fault.fault;
    }
    return undefined;
  }

  #messageFault(draw: number): MessageFault | undefined {
    const noise = this.#noise;
    const world = this.#world;
    if (noise === undefined) return undefined;
    if (world.schedule.steps > noise.step + noise.steps) {
      this.#noise = undefined;
      return undefined;
    }
    world.lastFaultMs = world.schedule.nowMs;
    if (draw % noise.of !== 0) return undefined;
    return noise.what === 'delay' ? { delayMs: 200 } : noise.what;
  }

  #ending(): Ending {
    const { values, watch, facts } = this.#world;
    return {
      facts,
      inputs: this.#inputs,
      sizes: this.#sizes,
      values: (topic) => values.get(topic) ?? [],
      rows: (table) => {
        const rows: Rows = new Map();
        for (const fold of watch.folds.values())
          for (const [key, value] of fold.stores.get(table) ?? []) rows.set(key, value);
        return rows;
      },
      late: (table) => {
        let late = 0;
        for (const { meta } of watch.tasks.values()) late += meta?.late[table] ?? 0;
        return late;
      },
    };
  }

  /** What must be so in the end. */
  #check(): void {
    this.#scenario.check(this.#ending());
    const world = this.#world;
    const observer = new Machine(world.schedule, 10_000, 'observer', 0);
    const finding: { error: unknown; done: boolean } = { error: undefined, done: false };
    this.#checkStates(observer).then(
      () => {
        finding.done = true;
      },
      (error: unknown) => {
        finding.error = error;
      },
    );
    drain();
    for (let i = 0; i < 1_000 && !finding.done && finding.error === undefined; i++)
      if (!world.schedule.step(Infinity)) break;
    if (finding.error !== undefined) throw finding.error;
    if (!finding.done) throw new Violation('state', 'the state cannot be read');
  }

  async #checkStates(observer: Machine): Promise<void> {
    const world = this.#world;
    const broker = await world.open(observer);
    for (const { id, stateId } of world.watch.tasks.values()) {
      const fold = world.watch.foldOf(id);
      const stores: ReadonlyMap<string, Rows> = fold?.stores ?? new Map();
      const state = await recovered(broker, world.group, id, stateId);
      checkState(`the recovered task ${id}`, state, stores);
      for (const { machine, worker } of world.workers) {
        const live = machine?.dead === false ? worker?.task(id)?.life?.state : undefined;
        const owner = world.watch.ownerOf(id);
        if (live !== undefined && owner === worker?.member)
          checkState(`task ${id} of ${machine?.name ?? ''}`, live, stores);
      }
    }
  }
}

function drawInputs(sizes: Sizes, draw: Random): Input[] {
  const { events, partitions, disorderMs } = sizes;
  const inputs: Input[] = [];
  let time = FIRST_EVENT_MS;
  for (let id = 0; id < events; id++) {
    time += draw.below(100);
    const at = time - (draw.below(3) === 0 ? draw.below(disorderMs) : 0);
    const [user, item] = [`u${draw.below(6)}`, `i${draw.below(4)}`];
    inputs.push({ id, user, item, amount: 1 + draw.below(9), at });
  }
  // One for each partition that pushes its time on, so that all windows close.
  const users = Array.from({ length: partitions }, (_, partition) => userOf(partition, partitions));
  users.forEach((user, i) =>
    inputs.push({ id: events + i, user, item: 'end', amount: 1, at: time + 10_000 }),
  );
  return inputs;
}

/** A key that belongs to this partition. */
function userOf(partition: number, partitions: number): string {
  for (let i = 0; ; i++) {
    const user = `end${i}`;
    if (partitionOf(Buffer.from(user), partitions) === partition) return user;
  }
}

function oneOf<T>(choices: readonly T[], draw: Random): T {
  return choices[draw.below(choices.length)] as T;
}

/** From the least to the most, both included. */
function between([least, most]: readonly [number, number], draw: Random): number {
  return least + draw.below(most - least + 1);
}

function asViolation(error: unknown): Violation {
  if (error instanceof Violation) return error;
  return new Violation(
    'failure',
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  );
}

/** A seed for one purpose. */
function mix(seed: number, salt: number): number {
  let mixed = Math.imul(seed ^ Math.imul(salt, 0x9e3779b9), 0x21f0aaad);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
