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

/** What an app is declared with. */
export interface Setting {
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

export interface Scenario {
  readonly name: string;
  /** Of its app. */
  readonly group: string;
  declare(setting: Setting): Declared;
  /** Topics in which no two records may have the same name, and the name of a record. */
  readonly once: Readonly<Record<string, (value: never) => string>>;
  /** How many records each of them has in the end; `undefined`: any number. */
  complete(ending: Ending): boolean;
  /** @throws Violation for what should be otherwise. */
  check(ending: Ending): void;
}
