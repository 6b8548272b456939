/**
 * What a verification has found so far, in bounded memory.
 *
 * @module
 */
import { messageOf } from '../../core/errors.ts';
import {
  MAX_PROBLEMS,
  type VerifyCounts,
  type VerifyProblem,
  type VerifyProgress,
  type VerifyReport,
} from '../verify-report.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Collects problems and counts. */
export class Findings {
  readonly counts: Mutable<VerifyCounts> = {
    topics: 0,
    partitions: 0,
    frames: 0,
    records: 0,
    frameBytes: 0,
    groups: 0,
    tasks: 0,
    producers: 0,
    stateRows: 0,
  };
  readonly #problems: VerifyProblem[] = [];
  #count = 0;
  #errors = 0;

  get problemCount(): number {
    return this.#count;
  }

  add(problem: VerifyProblem): void {
    this.#count++;
    if (problem.severity === 'error') this.#errors++;
    if (this.#problems.length < MAX_PROBLEMS) this.#problems.push(problem);
  }

  error(kind: VerifyProblem['kind'], place: string, text: string): void {
    this.add({ severity: 'error', kind, place, text });
  }

  warn(kind: VerifyProblem['kind'], place: string, text: string): void {
    this.add({ severity: 'warning', kind, place, text });
  }

  /** Runs a check that may throw; what it throws is a problem, and the result is then `undefined`. */
  attempt<T>(kind: VerifyProblem['kind'], place: string, check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      this.error(kind, place, messageOf(error));
      return undefined;
    }
  }

  progress(place: string): VerifyProgress {
    return { ...this.counts, place, problemCount: this.#count };
  }

  report(): VerifyReport {
    return {
      ...this.counts,
      ok: this.#errors === 0,
      problems: this.#problems,
      problemCount: this.#count,
    };
  }
}
