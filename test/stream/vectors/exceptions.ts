/**
 * The one list of recorded cases in which these streams do something else, on purpose: why, and what happens instead. What is not said is as it
 * was recorded.
 *
 * @module
 */
import type { Outcome } from './cases.ts';

/** A case that is not repeated as it was recorded. */
export interface Exception {
  readonly why: string;
  /** What happens instead; `refused`: the code with which it cannot be declared. */
  readonly instead: Outcome | Partial<Outcome> | { readonly refused: string };
}

const STEP_FROM_START = 'a step counts from start, as in slices of lists';
const SAME_VALUE_ZERO = 'equal is SameValueZero: true is not 1, false is not 0';
const TRUE_DELAY =
  'each value goes on so long after it came, rather than so long after the one before it';
const TOLD =
  'what failed behind it comes out of the next emit, and values go on: no pump dies in silence';
const ALL_WAIT = 'a map waits for its calls: emit is answered when its value is through';

/** By the names of the cases. */
export const exceptions: Readonly<Record<string, Exception>> = {
  'slice(1,None,2)': {
    why: STEP_FROM_START,
    instead: { outputs: [1, 3, 5, 7, 9], counts: [0, 1, 1, 2, 2, 3, 3, 4, 4, 5] },
  },
  'slice(0,0)': {
    why: 'an end of 0 is an end: nothing comes before it',
    instead: { outputs: [], counts: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
  },
  'slice(None,None,0)': {
    why: 'a step of 0 leads nowhere',
    instead: { refused: 'MR_OPTION_INVALID' },
  },
  'unique 1 == 1.0 == True in python': {
    why: SAME_VALUE_ZERO,
    instead: { outputs: [1, true, 0, false], counts: [1, 1, 2, 3, 4] },
  },
  'disconnect an input of zip': {
    why: 'an input that leaves takes its place in the tuples with it, instead of holding up the others for ever',
    instead: {
      outputs: [
        [1, 2],
        [3, 4],
      ],
      counts: [0, 0, 1, 1, 2],
    },
  },
  'metadata: partition_unique(2) fails': {
    why: 'nothing rides along with values that could break it',
    instead: { outputs: [[1, 2]], counts: [0, 0, 1], errors: [] },
  },
  'timed: seed delay(1).filter(even) scaled to 0.1 s': {
    why: TRUE_DELAY,
    instead: {
      outputs: [
        [100, 0],
        [100, 2],
        [100, 4],
      ],
    },
  },
  'timed: backpressure delay never waits (unbounded)': {
    why: TRUE_DELAY,
    instead: {
      outputs: [
        [10, 0],
        [110, 1],
        [210, 2],
        [310, 3],
        [410, 4],
      ],
    },
  },
  'timed: backpressure flatten: all parts start together, emit waits once': {
    why: 'the elements of a value go on one after the other, as those of different values do',
    instead: {
      outputs: [
        [0, 1],
        [100, 2],
        [200, 3],
      ],
      awaitMs: [300],
    },
  },
  'timed: backpressure slice loses backpressure': {
    why: 'emit waits for what is behind, as everywhere',
    instead: {
      outputs: [
        [0, 0],
        [100, 1],
        [200, 2],
      ],
      awaitMs: [100, 100, 100],
    },
  },
  'timed: backpressure zip maxsize=2': {
    why: 'the bound is hard: a tuple makes room for one value, not for all that wait',
    instead: { awaitMs: [0, 0, 200, 300, 0, 0] },
  },
  'timed: backpressure zip_latest': {
    why: 'values that were held go on one after the other',
    instead: {
      outputs: [
        [0, [1, 'a']],
        [100, [2, 'a']],
        [200, [3, 'a']],
      ],
      awaitMs: [0, 0, 200, 100],
    },
  },
  'timed: map_async parallelism=1': {
    why: ALL_WAIT,
    instead: {
      outputs: [
        [100, 0],
        [200, 10],
        [300, 20],
        [400, 30],
      ],
      awaitMs: [100, 100, 100, 100],
    },
  },
  'timed: map_async parallelism=2': {
    why: ALL_WAIT,
    instead: {
      outputs: [
        [100, 0],
        [200, 10],
        [300, 20],
        [400, 30],
        [500, 40],
        [600, 50],
      ],
      awaitMs: [100, 100, 100, 100, 100, 100],
    },
  },
  'timed: map_async error is skipped': {
    why: `${ALL_WAIT}, and told when it failed`,
    instead: {
      outputs: [
        [10, 0],
        [30, 2],
        [40, 3],
      ],
      awaitMs: [10, 10, 10, 10],
      errors: [1],
    },
  },
  'timed: map_async stop_on_exception': {
    why: `${ALL_WAIT}, and told when it failed; to stop is up to who emits`,
    instead: {
      outputs: [
        [10, 0],
        [30, 2],
        [40, 3],
      ],
      awaitMs: [10, 20, 30, 40],
      errors: [1],
    },
  },
  'timed: error: sink throws after delay(0.01)': {
    why: `${TRUE_DELAY}; ${TOLD}`,
    instead: {
      outputs: [
        [10, 0],
        [50, 1],
        [90, 2],
        [130, 3],
      ],
      errors: [2],
    },
  },
  'timed: error: sink throws after partition(1).flatten': {
    why: 'no event loop has to be started first',
    instead: {
      outputs: [
        [0, 0],
        [40, 1],
        [80, 2],
        [120, 3],
      ],
      awaitMs: [0, 0, 0, 0],
    },
  },
  'timed: error: sink throws after map_async': {
    why: 'the emit that caused it fails, and values go on',
    instead: {
      outputs: [
        [0, 0],
        [40, 1],
        [80, 2],
        [120, 3],
      ],
      awaitMs: [0, 0, 0, 0],
      errors: [1],
    },
  },
};
