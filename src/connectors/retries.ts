/**
 * How often something outside is tried again, and how long that waits.
 *
 * @module
 */
import { sleep } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { assert } from '../core/errors.ts';
import { checkOptions } from '../core/given.ts';
import { backoffMs, policyOf, retry } from '../stream/policy.ts';
import type { PolicyStep, RetryOptions } from '../stream/policy.ts';

/** How long it takes to give up: about 80 seconds. */
const defaults: RetryOptions = { times: 10, backoff: '100ms', maxBackoff: '30s' };

/** Failures in a row, up to a limit. */
export class Retries {
  readonly #clock: Clock;
  readonly #step: Extract<PolicyStep, { step: 'retry' }> | undefined;
  #failed = 0;

  /**
   * @param option What it was given as, for errors.
   * @param options `false`: never again. Default: 10 times, after 100 ms, 200 ms, … up to 30 s.
   * @throws {@link MillraceError} `MR_OPTION_INVALID`
   */
  constructor(option: string, options: RetryOptions | false = defaults, clock: Clock) {
    this.#clock = clock;
    if (options === false) return;
    checkOptions<RetryOptions>(option, options, { times: true, backoff: true, maxBackoff: true });
    const [step] = policyOf(retry(options), option).steps;
    assert(step?.step === 'retry', 'retry made another step');
    this.#step = step;
  }

  /** The longest wait, in milliseconds. */
  get maxBackoffMs(): number {
    return this.#step?.maxBackoffMs ?? 0;
  }

  /** The next failure is the first. */
  reset(): void {
    this.#failed = 0;
  }

  /** Waits for the next attempt, for `atLeastMs` or longer. @throws `error` when there is none, `MR_ABORTED` when `signal` aborts. */
  async again(error: unknown, signal?: AbortSignal, atLeastMs = 0): Promise<void> {
    if (this.#step === undefined || this.#failed >= this.#step.times) throw error;
    const waitMs = Math.max(atLeastMs, backoffMs(this.#step, this.#failed));
    this.#failed++;
    await sleep(this.#clock, waitMs, signal);
  }
}
