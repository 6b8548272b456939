/**
 * What is drawn on the pages about operators, see `marbles.ts`.
 *
 * Where a case was recorded from streamz (`test/stream/vectors`), the picture shows its inputs, and what comes out has to be what was recorded.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';
import type { Stream } from '../../src/stream/stream.ts';
import { cases } from '../../test/stream/vectors/cases.ts';
import type { TimedCase, UntimedCase } from '../../test/stream/vectors/cases.ts';
import { draw, perform, scriptOf } from './marbles.ts';
import type { Input, Row, Script, Slow } from './marbles.ts';

/** A picture. The operator is given a stream for each row, and is its own caption; if it makes several streams, their names are. */
interface Picture {
  /** A recorded case, the names of its sources, and how many of its inputs are shown (default all). */
  readonly recorded?: { readonly name: string; readonly rows?: string; readonly inputs?: number };
  /** Streams as marbles, see `scriptOf`. */
  readonly marbles?: Readonly<Record<string, string>>;
  /** Whether emits are waited for. */
  readonly waits?: boolean;
  readonly operator: (...given: never[]) => unknown;
  /** Where time plays a part: how long a step is, in ms. */
  readonly stepMs?: number;
  /** How many steps are shown. Default: up to the last input and what it causes. */
  readonly steps?: number;
}

const pictures: Readonly<Record<string, Picture>> = {
  map: {
    recorded: { name: 'seed map', inputs: 5 },
    operator: (source: Stream<number>) => source.map((x) => x * x + 1),
  },
  starmap: {
    recorded: { name: 'starmap' },
    operator: (source: Stream<[number, number]>) => source.starmap((a, b) => a + b),
  },
  filter: {
    recorded: { name: 'seed filter', inputs: 6 },
    operator: (source: Stream<number>) => source.filter((x) => x % 2 === 0),
  },
  flatten: {
    recorded: { name: 'seed flatten' },
    operator: (source: Stream<number[]>) => source.flatten(),
  },
  pluck: {
    recorded: { name: 'pluck list of indices' },
    operator: (source: Stream<number[]>) => source.pluck([0, 2]),
  },
  tap: {
    marbles: { source: '123|' },
    operator: (source: Stream<number>) => source.tap(log),
  },
  processors: {
    marbles: { source: '123|' },
    operator: (source: Stream<number>) => source.processors(double, increment),
  },
  enumerate: {
    marbles: { source: 'abc|' },
    operator: (source: Stream<string>) => source.enumerate(),
  },
  branch: {
    marbles: { source: '12345|' },
    operator: (source: Stream<number>) =>
      source.branch({ small: (x) => x < 3, even: (x) => x % 2 === 0 }),
  },
  accumulate: {
    recorded: { name: 'seed map+accumulate', inputs: 5 },
    operator: (source: Stream<number>) =>
      source.map((x) => x * x + 1).accumulate((sum, x) => sum + x),
  },
  mapState: {
    marbles: { source: '1479|' },
    operator: (source: Stream<number>) => source.mapState(0, (last, x) => [x, x - last]),
  },
  resetOn: {
    marbles: { source: '12-34|', reset: '--x--|' },
    operator: (source: Stream<number>, reset: Stream) =>
      source.accumulate((sum, x) => sum + x, { start: 0, resetOn: reset }),
  },
  unique: {
    recorded: { name: 'unique maxsize=2: a hit refreshes (LRU)' },
    operator: (source: Stream<number>) => source.unique({ maxsize: 2 }),
  },
  distinct: {
    marbles: { source: '1122133|' },
    operator: (source: Stream<number>) => source.distinct(),
  },
  pairwise: {
    marbles: { source: '1234|' },
    operator: (source: Stream<number>) => source.pairwise(),
  },
  slice: {
    recorded: { name: 'slice(2,6,2)', inputs: 8 },
    operator: (source: Stream<number>) => source.slice(2, 6, 2),
  },
  partition: {
    recorded: { name: 'seed partition(3)', inputs: 8 },
    operator: (source: Stream<number>) => source.partition(3),
  },
  'partition key': {
    recorded: { name: 'partition(2, key=mod3) interleaved' },
    operator: (source: Stream<number>) => source.partition(2, { key: (x) => x % 3 }),
  },
  'partition timeout': {
    marbles: { source: '12--345----|' },
    operator: (source: Stream<number>) => source.partition(3, { timeout: '3s' }),
    stepMs: 1_000,
  },
  take: {
    marbles: { source: '12--345-|' },
    operator: (source: Stream<number>) => source.take(2, { within: '3s' }),
    stepMs: 1_000,
  },
  partitionUnique: {
    recorded: { name: 'partition_unique first' },
    operator: (source: Stream<number>) => source.partitionUnique(3),
  },
  'partitionUnique last': {
    recorded: { name: 'partition_unique key=len last' },
    operator: (source: Stream<string>) => source.partitionUnique(3, { key: length, keep: 'last' }),
  },
  slidingWindow: {
    recorded: { name: 'seed sliding_window partial', inputs: 5 },
    operator: (source: Stream<number>) => source.slidingWindow(3),
  },
  'slidingWindow full': {
    recorded: { name: 'seed sliding_window full', inputs: 5 },
    operator: (source: Stream<number>) => source.slidingWindow(3, { returnPartial: false }),
  },
  collect: {
    marbles: { source: '12-3--4|', flush: '--x-x--|' },
    operator: (source: Stream<number>, flush: Stream) => source.collect({ flushOn: flush }),
  },
  timedWindow: {
    recorded: {
      name: 'timed: seed timed_window(3) scaled to 0.3 s, an event each 50 ms',
    },
    operator: (source: Stream<number>) => source.timedWindow('300ms'),
    stepMs: 100,
    steps: 10,
  },
  timedWindowUnique: {
    marbles: { source: '-121--34|' },
    operator: (source: Stream<number>) => source.timedWindowUnique('4s'),
    stepMs: 1_000,
  },
  delay: {
    marbles: { source: '12--3-|' },
    operator: (source: Stream<number>) => source.delay('2s'),
    stepMs: 1_000,
    steps: 8,
  },
  rateLimit: {
    recorded: { name: 'timed: rate_limit(0.1) concurrent emits keep order' },
    operator: (source: Stream<number>) => source.rateLimit('100ms'),
    stepMs: 100,
    steps: 5,
  },
  debounce: {
    marbles: { source: '12--3-4---|' },
    operator: (source: Stream<number>) => source.debounce('2s'),
    stepMs: 1_000,
  },
  throttle: {
    marbles: { source: '123456---7|' },
    operator: (source: Stream<number>) => source.throttle('3s'),
    stepMs: 1_000,
  },
  buffer: {
    marbles: { source: '123456|' },
    waits: true,
    operator: (source: Stream<number>, slow: Slow) => source.buffer(2).map(slow),
    stepMs: 1_000,
    steps: 20,
  },
  'map concurrency': {
    marbles: { source: '123456|' },
    operator: (source: Stream<number>, slow: Slow) => source.map(slow, { concurrency: 2 }),
    stepMs: 1_000,
    steps: 12,
  },
  'throttle trailing': {
    marbles: { source: '123456---7|' },
    operator: (source: Stream<number>) => source.throttle('3s', { trailing: true }),
    stepMs: 1_000,
  },
  latest: {
    marbles: { source: '123456----|' },
    operator: (source: Stream<number>, slow: Slow) => source.latest().map(slow),
    stepMs: 1_000,
    steps: 12,
  },
  union: {
    recorded: { name: 'union two', rows: 'a b' },
    operator: (a: Stream, b: Stream) => a.union(b),
  },
  zip: {
    recorded: { name: 'seed zip', rows: 'a b', inputs: 7 },
    operator: (a: Stream, b: Stream) => a.zip(b),
  },
  zipLatest: {
    recorded: { name: 'seed zip_latest', rows: 'a b', inputs: 7 },
    operator: (a: Stream, b: Stream) => a.zipLatest(b),
  },
  combineLatest: {
    recorded: { name: 'seed combine_latest', rows: 'a b', inputs: 7 },
    operator: (a: Stream, b: Stream) => a.combineLatest(b),
  },
  'combineLatest emitOn': {
    recorded: { name: 'combine_latest emit_on=0', rows: 'a b' },
    operator: (a: Stream, b: Stream) => a.combineLatest([b], { emitOn: a }),
  },
  groupBy: {
    marbles: { source: '12345|' },
    operator: (source: Stream<number>) =>
      source
        .groupBy(parity, { name: 'parity' })
        .accumulate((sum, x) => sum + x)
        .items(),
  },
  split: {
    marbles: { source: '12345|' },
    operator: (source: Stream<number>) => source.split(parity),
  },
  switch: {
    marbles: { source: 'a---b---|', a: '-1-2-3|', b: '----4-5-6|' },
    operator: (source: Stream<Stream<number>>) => source.switch(),
  },
  concat: {
    marbles: { source: 'a-b------|', a: '-1-2-|', b: '---3--4-5|' },
    operator: (source: Stream<Stream<number>>) => source.concat(),
  },
  merge: {
    marbles: { source: 'a-b------|', a: '-1-2-|', b: '---3--4-5|' },
    operator: (source: Stream<Stream<number>>) => source.merge(),
  },
  'onError skip': {
    marbles: { source: '12345|' },
    operator: (source: Stream<number>) => source.onError('skip').map(butThree),
  },
  errors: {
    marbles: { source: '12345|' },
    operator: (source: Stream<number>) => {
      const checked = source.onError('skip');
      return { checked: checked.map(butThree), 'checked.errors': checked.errors.pluck('value') };
    },
  },
};

const defaultStepMs = 1_000;

function butThree(x: number): number {
  if (x === 3) throw new Error('three');
  return x;
}

function log(): void {
  // It only looks on.
}

function double(x: number): number {
  return x * 2;
}

function increment(x: number): number {
  return x + 1;
}

function length(x: string): number {
  return x.length;
}

function parity(x: number): string {
  return x % 2 === 0 ? 'even' : 'odd';
}

/** All pictures by their names. @throws when an operator does something else than was recorded. */
export async function drawn(): Promise<Map<string, string>> {
  const all = new Map<string, string>();
  for (const [name, picture] of Object.entries(pictures)) all.set(name, await drawOne(picture));
  return all;
}

async function drawOne(picture: Picture): Promise<string> {
  const { marbles = {}, recorded, operator, stepMs } = picture;
  const step = stepMs ?? defaultStepMs;
  const script =
    recorded === undefined
      ? { ...scriptOf(marbles, step), waits: picture.waits }
      : recordedScript(recorded, step);
  const lastMs = Math.max(...script.inputs.map(({ atMs }) => atMs));
  const steps = picture.steps ?? Math.floor(lastMs / step) + 1;
  const rows = await perform(script, operator, captionOf(operator), steps * step - 1);
  if (recorded !== undefined) compare(recorded.name, script, rows, step);
  return draw(rows, step, steps, stepMs === undefined ? undefined : stepMs < 1_000 ? 'ms' : 's');
}

/** The inputs of a recorded case; without times, one in each step, and the end of all of them behind. */
function recordedScript(recorded: NonNullable<Picture['recorded']>, stepMs: number): Script {
  const found = caseNamed(recorded.name);
  const rows = (recorded.rows ?? 'source').split(' ');
  const one = (source: unknown, atMs: number, value: unknown): Input => {
    const row = rows[Number(source)];
    if (row === undefined) throw new Error(`${recorded.name} has more sources than names`);
    return { atMs, row, value };
  };
  const inputs =
    found.kind === 'timed'
      ? found.inputs.map(([atMs, source, value]) => one(source, atMs, value))
      : found.inputs.map(([source, value], i) => one(source, i * stepMs, value));
  const shown = inputs.slice(0, recorded.inputs ?? inputs.length);
  if (found.kind === 'timed') return { rows, inputs: shown };
  const ends = rows.map((row): Input => ({ atMs: shown.length * stepMs, row, ends: true }));
  return { rows, inputs: [...shown, ...ends] };
}

/** @throws when the last row is not what was recorded. What comes out at the end was not: there is none in streamz. */
function compare(name: string, { inputs }: Script, rows: readonly Row[], stepMs: number): void {
  const found = caseNamed(name);
  const values = rows.at(-1)?.values ?? [];
  const lastMs = inputs.findLast((input) => 'value' in input)?.atMs ?? 0;
  const same =
    found.kind === 'timed'
      ? isDeepStrictEqual(
          values.map(({ atMs, value }) => [atMs, value]),
          found.outputs.slice(0, values.length),
        )
      : isDeepStrictEqual(
          values.filter(({ atMs }) => atMs <= lastMs).map(({ value }) => value),
          found.outputs.slice(0, found.counts?.[lastMs / stepMs]),
        );
  if (!same) throw new Error(`the picture of ${name} is not what was recorded`);
}

function caseNamed(name: string): UntimedCase | TimedCase {
  const found = cases.find((each) => each.name === name);
  if (found === undefined || found.kind === 'construct')
    throw new Error(`there is no recorded case ${name}`);
  return found;
}

/** What a function says of its stream: `filter((x) => x > 1)` for `(source) => source.filter((x) => x > 1)`. */
function captionOf(operator: (...given: never[]) => unknown): string {
  const [, body = ''] = /^\([^)]*\)\s*=>(.*)$/s.exec(String(operator)) ?? [];
  return body
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ (?=\.)/g, '')
    .trim()
    .replace(/^source\./, '');
}
