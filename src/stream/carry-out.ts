/**
 * Carries out a policy: the one sequence of waits and attempts, for processes and tasks.
 *
 * @module
 */
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { isPromise } from '../core/types.ts';
import { backoffMs } from './policy.ts';
import type { FailureStream, Policy } from './policy.ts';

/** What a policy needs in order to be carried out. */
export interface Means {
  readonly clock: Clock;
  /** Ends the waits. */
  readonly signal?: AbortSignal | undefined;
  /** Processes the value again, from the beginning. What it changes before it throws it takes back itself. */
  attempt(): void | Promise<void>;
  /** Whether an error of an attempt is one that the policy is for: any other ends it at once. Default: each is. */
  readonly isForPolicy?: ((error: unknown) => boolean) | undefined;
  /** The value is given up. */
  skipped(error: unknown, attempts: number): void | Promise<void>;
  /** The value goes to a topic. */
  deadLetter(topic: string, error: unknown, attempts: number): void | Promise<void>;
  /** The value goes to a stream. Missing in apps, which refuse such policies when they start. */
  readonly divert?: ((to: FailureStream, error: unknown) => void | Promise<void>) | undefined;
}

/**
 * Deals with the failure of a value. Returns when the matter is settled, at once if nothing had to be waited for.
 *
 * @throws the last error when no step settles it, or when it is no matter for policies.
 */
export function carryOut(policy: Policy, error: unknown, means: Means): void | Promise<void> {
  const [first] = policy.steps;
  if (first === undefined) throw error;
  if (first.step === 'skip') return means.skipped(error, 1);
  if (first.step === 'deadLetter') return means.deadLetter(first.topic, error, 1);
  if (first.step === 'divert') return means.divert?.(first.to, error);
  return carryOutSlowly(policy, error, means);
}

async function carryOutSlowly(policy: Policy, error: unknown, means: Means): Promise<void> {
  let last = error;
  let attempts = 1;
  for (const step of policy.steps) {
    if (step.step === 'skip') return means.skipped(last, attempts);
    if (step.step === 'deadLetter') return await means.deadLetter(step.topic, last, attempts);
    if (step.step === 'divert') return await means.divert?.(step.to, last);
    for (let i = 0; i < step.times; i++) {
      await sleep(means.clock, backoffMs(step, i), means.signal);
      attempts++;
      try {
        const result = means.attempt();
        if (isPromise(result)) await result;
        return;
      } catch (again) {
        if (means.isForPolicy?.(again) === false) throw again;
        last = again;
      }
    }
  }
  throw last;
}
