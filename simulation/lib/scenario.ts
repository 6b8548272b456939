/**
 * What a scenario is: an app, what is sent to it, and what must have come of it.
 *
 * @module
 */
import type { App, AppOptions, Topic } from '../../src/index.ts';
import type { Clock } from '../../src/core/clock.ts';
import type { Random } from '../../src/core/random.ts';

/** A record that is sent. */
export interface Input {
  readonly id: number;
  readonly user: string;
  readonly item: string;
  readonly amount: number;
  /** Event time. */
  readonly at: number;
}

/** Sizes of a run, drawn from its seed. */
export interface Sizes {
  readonly events: number;
  readonly partitions: number;
  /** Whether no event can be late: none is out of order by more than the grace, and nobody counts as idle. */
  readonly exact: boolean;
  readonly graceMs: number;
  /** How far events are out of order at most. */
  readonly disorderMs: number;
  readonly gapMs: number;
  readonly concurrency: number;
}

/** Something that code of an app has seen, for the check at the end. */
export interface Fact {
  /** The process, as it is now: whether it is dead, and when it was woken last. */
  readonly by: { readonly dead: boolean; readonly wokeMs: number };
  /** Virtual time. */
  readonly atMs: number;
  readonly fact: unknown;
}

/** What an app is declared with. */
export interface Setting {
  /** Notes a fact. */
  readonly note: (fact: unknown) => void;
  /** Tells that this process does now what only the leader may do. */
  readonly leads: () => void;
  readonly sizes: Sizes;
  readonly clock: Clock;
  readonly random: Random;
  readonly options: AppOptions;
}

export interface Declared {
  readonly app: App;
  readonly source: Topic<string, Input>;
}

/** What is known at the end of a run. */
export interface Ending {
  /** What was noted, in its order. */
  readonly facts: readonly Fact[];
  /** What was sent, in any order. */
  readonly inputs: readonly Input[];
  readonly sizes: Sizes;
  /** Values of a topic, as they became visible. */
  readonly values: (topic: string) => readonly unknown[];
  /** Rows of a table by key, and by `key@start` where it has windows: those of the changelog, decoded. */
  readonly rows: (table: string) => ReadonlyMap<string, unknown>;
  /** Late events of a table, as the tasks have counted them. */
  readonly late: (table: string) => number;
}

/** What sizes are drawn from: the least and the most. */
export interface Scale {
  readonly events: readonly [number, number];
  /** One of them. */
  readonly partitions: readonly number[];
  /** How many of the workers run at first: one of them. */
  readonly workers: readonly number[];
  /** How far faults reach into a run. */
  readonly faultSteps: number;
}

/** Runs of some hundred steps. */
export const large: Scale = {
  events: [4, 27],
  partitions: [1, 2, 2, 3],
  workers: [1, 2],
  faultSteps: 300,
};

/** A run that is over soon: most mistakes need little, and more seeds find more than longer ones. */
export const small: Scale = {
  events: [3, 9],
  partitions: [1, 1, 2],
  workers: [1, 1, 2],
  faultSteps: 120,
};

export interface Scenario {
  readonly name: string;
  /** Of most runs; one in 25 is {@link large} in any case. */
  readonly scale: Scale;
  /** Of its app. */
  readonly group: string;
  declare(setting: Setting): Declared;
  /** Topics in which no two records may have the same name, and the name of a record. */
  readonly once: Readonly<Record<string, (value: never) => string>>;
  /** Topics whose records may come again, and the name of a record. */
  readonly often?: Readonly<Record<string, (value: never) => string>>;
  /** Whether everything has come of what was sent. */
  complete(ending: Ending): boolean;
  /** @throws Violation for what should be otherwise. */
  check(ending: Ending): void;
}
