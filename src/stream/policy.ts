/**
 * Error policies: what becomes of an event that failed. Pure data; a process and a task carry them out, each in its way.
 *
 * A policy is a row of steps. A step that does not settle the matter hands it to the next: `retry` when it has tried often enough. What no step
 * settles fails: the process stops, or the `emit` throws, and nothing is acknowledged.
 *
 * @module
 */
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { kindOf } from '../core/given.ts';
import { validName } from '../core/names.ts';
import { checkNames } from './option-names.ts';

/** What stands behind `orElse`. */
export interface OrElse {
  /** What to do when this did not settle the matter. `skip` and `deadLetter` always do. */
  orElse(next: OnError): OrElse;
}

/** What becomes of an event that failed, once what it did has been taken back. Default `'fail'`. */
export type OnError = 'fail' | 'skip' | OrElse;

/** How {@link retry} tries again. */
export interface RetryOptions {
  /** How often it tries again, 1 to 1,000. */
  readonly times: number;
  /** How long it waits before the first try; twice as long before each one after it. Default 0. */
  readonly backoff?: Duration | undefined;
  /** The longest wait. Default 30 s, or `backoff` if that is longer. */
  readonly maxBackoff?: Duration | undefined;
}

/** One step of a policy. */
export type PolicyStep =
  | {
      readonly step: 'retry';
      readonly times: number;
      readonly backoffMs: number;
      readonly maxBackoffMs: number;
    }
  | { readonly step: 'skip' }
  /** `topic` is the name of the topic. */
  | { readonly step: 'deadLetter'; readonly topic: string }
  /** `deadLetter` to a stream of this process. */
  | { readonly step: 'divert'; readonly to: FailureStream };

/** A value that failed, with its error and the name of the operator whose function threw it. */
export interface Failure<T> {
  readonly value: T;
  readonly error: unknown;
  readonly node: string;
}

/** What `deadLetter` needs of a stream of this process. `Stream` implements it. */
export interface FailureStream {
  readonly name: string;
  emit(failure: Failure<unknown>): void | Promise<void>;
}

/** A policy as it is carried out. */
export class Policy implements OrElse {
  readonly steps: readonly PolicyStep[];

  constructor(steps: readonly PolicyStep[]) {
    this.steps = steps;
  }

  /** @throws `MR_OPTION_INVALID` behind a step that always settles the matter, and for what is no policy. */
  orElse(next: OnError): Policy {
    const last = this.steps.at(-1);
    if (last !== undefined && last.step !== 'retry')
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `orElse stands behind ${last.step}, which always settles the matter; leave it out`,
      );
    return new Policy([...this.steps, ...policyOf(next, 'orElse').steps]);
  }

  /** Whether a failure always ends in an error: then nothing needs to be taken back. */
  get failsAtOnce(): boolean {
    return this.steps.length === 0;
  }

  /** Whether a failed event is tried again before anything else becomes of it. */
  get retries(): boolean {
    return this.steps[0]?.step === 'retry';
  }

  /** Whether it sends values to streams of this process. */
  get diverts(): boolean {
    return this.steps.some(({ step }) => step === 'divert');
  }

  /** The longest that all its waits can take together, in milliseconds. */
  get longestMs(): number {
    let longest = 0;
    for (const step of this.steps)
      if (step.step === 'retry') for (let i = 0; i < step.times; i++) longest += backoffMs(step, i);
    return longest;
  }
}

/** Stops at the first failure. */
export const fail: Policy = new Policy([]);

const skip: Policy = new Policy([{ step: 'skip' }]);

/** Processes a failed event again, after a wait. */
export function retry(options: RetryOptions): OrElse {
  if ((options as unknown) === undefined)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      "retry was called without options; say how often: retry({ times: 3, backoff: '1s' })",
    );
  checkNames('retry', options);
  const { times, backoff = 0 } = options;
  if (!Number.isInteger(times) || times < 1 || times > 1_000)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `retry was given times: ${String(times)}; give a whole number from 1 to 1000`,
    );
  const firstMs = durationMs(backoff, 'backoff');
  const maxMs = durationMs(options.maxBackoff ?? Math.max(30_000, firstMs), 'maxBackoff');
  if (maxMs < firstMs)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `retry was given a maxBackoff of ${maxMs} ms, shorter than its backoff of ${firstMs} ms; raise it`,
    );
  return new Policy([{ step: 'retry', times, backoffMs: firstMs, maxBackoffMs: maxMs }]);
}

/**
 * In an app: sends a failed event to a topic, as it was read: its stored key and value, its time, and headers that tell the error and where it
 * came from. The record is committed with everything else. A name makes a topic of its own if the app does not declare it.
 *
 * In a process: emits a {@link Failure} into a stream; the value is dealt with when that has been.
 */
export function deadLetter(target: { readonly name: string } | FailureStream | string): OrElse {
  if (isFailureStream(target)) return new Policy([{ step: 'divert', to: target }]);
  const name: unknown =
    typeof target === 'string'
      ? validName('topic', target)
      : (target as { readonly name?: unknown } | undefined)?.name;
  if (typeof name !== 'string')
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `deadLetter was given ${kindOf(target)}; give a topic, the name of one, or in a process a stream`,
    );
  return new Policy([{ step: 'deadLetter', topic: name }]);
}

/** A topic has no `emit`. */
function isFailureStream(target: unknown): target is FailureStream {
  return typeof target === 'object' && target !== null && 'emit' in target;
}

/** The policy behind what the user gave. @throws `MR_OPTION_INVALID`, naming `option`. */
export function policyOf(given: OnError | undefined, option: string): Policy {
  if (given === undefined || given === 'fail') return fail;
  if (given === 'skip') return skip;
  if (given instanceof Policy) return given;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `${option} is ${typeof given === 'string' ? JSON.stringify(given) : `a ${typeof given}`}; give 'fail', 'skip', retry({ times }) or deadLetter(topic)`,
    { details: { option } },
  );
}

/** How long to wait before try `i` (from 0) of a retry. */
export function backoffMs(
  step: { readonly backoffMs: number; readonly maxBackoffMs: number },
  i: number,
): number {
  return Math.min(step.maxBackoffMs, step.backoffMs * 2 ** Math.min(i, 40));
}
