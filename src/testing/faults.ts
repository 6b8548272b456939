/**
 * Plans of what fails, and when.
 *
 * A plan is asked at each call and says what becomes of it. One that decides by the number of the call, or by a seed, makes the same failures in
 * every run.
 *
 * @module
 */
import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';

/** What becomes of a call. */
export interface Fault {
  /** How long it takes before anything happens, in milliseconds of the clock. Calls that answer at once take no notice. Default 0. */
  readonly delayMs?: number | undefined;
  /**
   * How it fails: `'before'` and `'after'` throw `MR_IO`, before it was done or after, when only the answer was lost; `'disk-full'` throws
   * `MR_DISK_FULL`, and nothing was done. Default: it does not fail.
   */
  readonly fail?: 'before' | 'after' | 'disk-full' | undefined;
  /** Of `changed` only: it wakes nobody, and ends with its timeout. */
  readonly deaf?: boolean | undefined;
}

/** A call that a plan is asked about. */
export interface FaultyCall<Name extends string = string> {
  readonly call: Name;
  /** How many calls of this name came before it. */
  readonly index: number;
}

/** Says what becomes of a call; `undefined`: what should. */
export type FaultPlan<Call, F extends Fault = Fault> = (call: Call) => F | undefined;

/** How {@link seededFaults} chooses. */
export interface SeededFaultsOptions<F extends Fault> {
  readonly random: Random;
  /** Of how many calls one fails, from 0 to 1. */
  readonly chance: number;
  /** What may happen, one of them as likely as another. */
  readonly faults: readonly F[];
  /** Names of the calls that may fail. Default: those that write, `append`, `commit` and `transact`. */
  readonly calls?: readonly string[] | undefined;
  /** It is over after so many. Default 1,000. */
  readonly most?: number | undefined;
}

/** Faults by chance: the same ones for the same seed and the same calls. */
export function seededFaults<F extends Fault>(
  options: SeededFaultsOptions<F>,
): FaultPlan<FaultyCall, F> {
  const {
    random,
    chance,
    faults,
    calls = ['append', 'commit', 'transact'],
    most = 1_000,
  } = options;
  let left = most;
  return ({ call }) => {
    if (left <= 0 || faults.length === 0 || !calls.includes(call)) return undefined;
    if (random.next() >= chance) return undefined;
    left--;
    return faults[random.below(faults.length)];
  };
}

/** Numbers calls by name, asks the plan, and carries out what it says. */
export class FaultLine<Call extends FaultyCall, F extends Fault> {
  readonly #plan: FaultPlan<Call, F>;
  readonly #clock: Clock | undefined;
  readonly #failing: ((fault: F) => void) | undefined;
  readonly #counts = new Map<string, number>();
  readonly #end = new AbortController();

  /** `failing` is told of each fault that fails a call, at the moment in which it does. */
  constructor(plan: FaultPlan<Call, F>, clock: Clock | undefined, failing?: (fault: F) => void) {
    this.#plan = plan;
    this.#clock = clock;
    this.#failing = failing;
  }

  /** What becomes of the next call of this name. */
  ask(call: Omit<Call, 'index'>): F | undefined {
    const index = this.#counts.get(call.call) ?? 0;
    this.#counts.set(call.call, index + 1);
    return this.#plan({ ...call, index } as Call);
  }

  /** A call that answers with a promise. */
  run<T>(call: Omit<Call, 'index'>, go: () => Promise<T>): Promise<T> {
    const fault = this.ask(call);
    // Without a fault nothing may come later than it would.
    return fault === undefined ? go() : this.suffer(call.call, fault, go);
  }

  /** A call that answers at once, or may do so. */
  read<T>(call: Omit<Call, 'index'>, go: () => T): T {
    const fault = this.ask(call);
    if (fault?.fail !== undefined) throw this.#error(call.call, fault);
    return go();
  }

  /** Ends delays. */
  close(): void {
    this.#end.abort();
  }

  /** Carries out a fault. */
  async suffer<T>(call: string, fault: F, go: () => Promise<T>): Promise<T> {
    const { delayMs = 0, fail } = fault;
    if (delayMs > 0) await sleep(clockFor(this.#clock), delayMs, this.#end.signal);
    if (fail === undefined) return await go();
    if (fail === 'after') await go();
    throw this.#error(call, fault);
  }

  #error(call: string, fault: F): MillraceError {
    this.#failing?.(fault);
    if (fault.fail === 'disk-full')
      return new MillraceError(
        'MR_DISK_FULL',
        `a planned fault: ${call} found the disk full and did nothing; free some space and try again`,
        { domain: 'external', retryable: true, details: { call } },
      );
    return new MillraceError(
      'MR_IO',
      `a planned fault: ${call} failed, and may or may not have been done; read what is stored before you go on`,
      { domain: 'external', details: { call } },
    );
  }
}

function clockFor(clock: Clock | undefined): Clock {
  if (clock !== undefined) return clock;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    'a planned fault has a delayMs, but no clock was given; pass one with the option clock',
    { details: { option: 'clock' } },
  );
}
