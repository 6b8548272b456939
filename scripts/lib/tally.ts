/**
 * Counts of tests and the line that reports them, which other programs read.
 *
 * @module
 */

export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const emptyTally: Tally = { passed: 0, failed: 0, skipped: 0 };

export function addTallies(a: Tally, b: Tally): Tally {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

/** `3 passed, 0 failed`, with `, 1 skipped` when there are any. */
export function tallyLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

/** Reads the last {@link tallyLine} of `text`; nothing when there is none. */
export function lastTally(text: string): Tally | undefined {
  const lines = text.matchAll(
    /^(?<passed>\d+) passed, (?<failed>\d+) failed(?:, (?<skipped>\d+) skipped)?$/gm,
  );
  const last = [...lines].at(-1)?.groups;
  return last === undefined
    ? undefined
    : {
        passed: Number(last['passed']),
        failed: Number(last['failed']),
        skipped: Number(last['skipped'] ?? 0),
      };
}
