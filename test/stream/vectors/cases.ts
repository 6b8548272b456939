/**
 * Cases recorded from streamz 0.6.6, the Python library whose pipelines these streams take the place of: what its nodes were given, what came
 * out after each input, and in the timed ones when, and how long `emit` was busy. One case per line in `cases.jsonl`. The cases of sources with a
 * world outside (files, processes, sockets) and of pictures are among the tests of those.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

/** A node: name, operator, names of its parents (or `{ lit }`, a constant), arguments, keyword arguments. Intervals are in seconds. */
export type CaseNode = readonly [
  name: string,
  operator: string,
  parents?: readonly (string | { readonly lit: unknown })[],
  args?: readonly unknown[],
  options?: Readonly<Record<string, unknown>>,
];

/** What happened. */
export interface Outcome {
  /** Values in order; with several sinks pairs of the number of the sink and the value; in timed cases pairs of time in ms and value. */
  readonly outputs: readonly unknown[];
  /** How many outputs there were after each input. */
  readonly counts?: readonly number[];
  /** Which inputs failed. */
  readonly errors?: readonly number[];
  /** How long each `emit` was busy, in ms; `null`: for ever. */
  readonly awaitMs?: readonly (number | null)[];
  /** Of `slice end unsubscribes …`: how many nodes are left behind the source. Of `seed collect cache=…`: what is left in the cache. */
  readonly probe?: unknown;
}

/** Without time: inputs are a source's number and a value, or a word with `@` and names of nodes. */
export interface UntimedCase extends Outcome {
  readonly name: string;
  readonly kind: 'stream' | 'metadata';
  readonly graph: readonly CaseNode[];
  readonly inputs: readonly (readonly [number | string, ...unknown[]])[];
  readonly sinks?: readonly string[];
}

/** With time: inputs are a time in ms, a source's number and a value. */
export interface TimedCase extends Outcome {
  readonly name: string;
  readonly kind: 'timed';
  readonly graph: readonly CaseNode[];
  readonly inputs: readonly (readonly [atMs: number, source: number, value: unknown])[];
  /** Whether each input came at its time; else not before the emit of the one before had been answered. */
  readonly concurrent?: true;
  /** Where times are those of the recording, by how much they may differ. Default: not at all. */
  readonly tolMs?: number;
}

/** What is refused when it is declared. */
export interface ConstructCase {
  readonly name: string;
  readonly kind: 'construct';
  readonly operator: string;
  readonly args: {
    readonly args?: readonly unknown[];
    readonly kwargs?: Readonly<Record<string, unknown>>;
  };
  /** `null` when it is not refused after all. */
  readonly error: string | null;
}

export type Case = UntimedCase | TimedCase | ConstructCase;

export const cases: readonly Case[] = readFileSync(new URL('cases.jsonl', import.meta.url), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Case);
