/** Random work for agents of every form, and random storms over it. */
import fc from 'fast-check';

import { deadLetter, retry } from '../../src/index.ts';
import type { OnError } from '../../src/index.ts';

/** An event. */
export interface Job {
  readonly id: number;
  readonly key: string;
  /** Waits in front of the changes, and behind them, in milliseconds. */
  readonly before: number;
  readonly after: number;
  /** The handler throws at its first so many calls with it. */
  readonly fails: number;
  /** The same of what stands in front of the agent, where that has a policy. */
  readonly failsInFront: number;
  /** Somebody waits for the answer. */
  readonly asked: boolean;
  /** It tells what it has seen of the others. */
  readonly looks: boolean;
  /** Bytes that it sends for nothing. */
  readonly ballast: number;
  /** Given in front of the agent, in the order of the events. */
  readonly number?: number | undefined;
}

/** `manual`: by `events({ ack: 'manual' })`, in an app that is at-least-once. */
export type Kind = 'each' | 'sync each' | 'agent' | 'take' | 'manual';

export type PolicyName =
  | 'fail'
  | 'skip'
  | 'retry'
  | 'deadLetter'
  | 'retry, skip'
  | 'retry, deadLetter';

/** An agent, and what is around it. */
export interface Form {
  readonly kind: Kind;
  readonly concurrency: number;
  readonly atLeastOnce: boolean;
  /** What stands in front of the agent. All but the first two give the events numbers. */
  readonly front: 'nothing' | 'filter' | 'state' | 'slow' | 'groupBy';
  /** Behind what gives numbers: another agent, in the same tasks. */
  readonly second: boolean;
  readonly policy: PolicyName;
  /** What becomes of events that fail in front of the agent, by the stream or by the app. `none`: none does. */
  readonly guard: 'none' | 'app' | 'retry' | 'deadLetter' | 'retry, deadLetter';
  readonly partitions: number;
  readonly every: number;
  readonly intervalMs: number;
}

/** What happens meanwhile. */
export interface Storm {
  readonly workers: number;
  /** A worker is killed at these moments of the handler, counted over all calls. */
  readonly crashes: readonly number[];
  /** What happens while the events of each part are on their way. */
  readonly moves: readonly ('none' | 'add' | 'remove' | 'both')[];
  /** Commits and other calls fail by chance, which this is the seed of; 0: none does. */
  readonly faults: number;
}

export interface Script {
  readonly form: Form;
  readonly storm: Storm;
  readonly jobs: readonly Job[];
}

/** How often a retry tries again. */
export const TIMES = 2;
export const ALWAYS = 1_000;
/** The least that an app may be told to hold back. */
export const LEAST_BUFFERED: number = 64 * 1_024;

const again = retry({ times: TIMES, backoff: 10 });

export const policies: Readonly<Record<PolicyName, OnError>> = {
  fail: 'fail',
  skip: 'skip',
  retry: again,
  deadLetter: deadLetter('dead'),
  'retry, skip': again.orElse('skip'),
  'retry, deadLetter': again.orElse(deadLetter('dead')),
};

export const guards: Readonly<Record<Exclude<Form['guard'], 'none' | 'app'>, OnError>> = {
  retry: again,
  deadLetter: deadLetter('dead-in-front'),
  'retry, deadLetter': again.orElse(deadLetter('dead-in-front')),
};

const calm: Storm = { workers: 1, crashes: [], moves: [], faults: 0 };

const plain: Form = {
  kind: 'each',
  concurrency: 1,
  atLeastOnce: false,
  front: 'nothing',
  second: false,
  policy: 'fail',
  guard: 'none',
  partitions: 1,
  every: 10_000,
  intervalMs: 10,
};

const easy: Omit<Job, 'id'> = {
  key: 'a',
  before: 0,
  after: 0,
  fails: 0,
  failsInFront: 0,
  asked: false,
  looks: false,
  ballast: 0,
};

/** A script by what is special about it. */
export function scriptOf(
  form: Partial<Form>,
  jobs: readonly Partial<Job>[],
  storm: Partial<Storm> = {},
): Script {
  return {
    form: { ...plain, ...form },
    storm: { ...calm, ...storm },
    jobs: jobs.map((job, id) => ({ ...easy, ...job, id })),
  };
}

const ms = fc.constantFrom(0, 0, 5, 30, 120);

const fails = fc.oneof(
  { weight: 4, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constantFrom(1, 2, 3, ALWAYS) },
);

/** True once in `n` times. */
function seldom(n: number): fc.Arbitrary<boolean> {
  return fc.integer({ min: 0, max: n - 1 }).map((i) => i === n - 1);
}

const job: fc.Arbitrary<Omit<Job, 'id'>> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  before: ms,
  after: ms,
  fails,
  failsInFront: fails,
  asked: seldom(5),
  looks: fc.boolean(),
  ballast: fc.oneof(
    { weight: 9, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constantFrom(LEAST_BUFFERED / 2, LEAST_BUFFERED) },
  ),
});

export const jobs: fc.Arbitrary<Job[]> = fc
  .array(job, { minLength: 1, maxLength: 16 })
  .map((all) => all.map((each, id): Job => Object.assign({ id }, each)));

export const form: fc.Arbitrary<Form> = fc
  .record<Form>({
    kind: fc.constantFrom('each', 'sync each', 'agent', 'take', 'manual'),
    concurrency: fc.constantFrom(1, 2, 4),
    atLeastOnce: seldom(4),
    front: fc.constantFrom('nothing', 'nothing', 'filter', 'state', 'slow', 'groupBy'),
    second: fc.boolean(),
    policy: fc.constantFrom(...(Object.keys(policies) as PolicyName[])),
    guard: fc.constantFrom('none', 'none', 'app', 'retry', 'deadLetter', 'retry, deadLetter'),
    partitions: fc.constantFrom(1, 1, 3),
    every: fc.constantFrom(1, 3, 10_000),
    intervalMs: fc.constantFrom(10, 40, 100),
  })
  .map(possible);

function possible(each: Form): Form {
  return each.kind === 'manual' ? { ...each, atLeastOnce: true } : each;
}

const storm: fc.Arbitrary<Storm> = fc.oneof(
  fc.constant(calm),
  fc.record<Storm>({
    workers: fc.constantFrom(1, 2, 3),
    crashes: fc.array(fc.nat(60), { maxLength: 4 }),
    moves: fc.array(fc.constantFrom('none', 'add', 'remove', 'both'), { maxLength: 3 }),
    faults: fc.oneof(fc.constant(0), fc.nat(1_000)),
  }),
);

export const scripts: fc.Arbitrary<Script> = fc.record({ form, storm, jobs });
