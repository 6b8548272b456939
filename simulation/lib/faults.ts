/**
 * What goes wrong in a run: drawn from its seed before it begins, as plain data, so that a failing run can be tried again with less of it.
 *
 * @module
 */
import type { Random } from '../../src/core/random.ts';
import type { DiskFault } from './disk.ts';

/** Something that goes wrong. `step` and `commit` count from the start of the run. */
export type Fault =
  /** A process is killed, and started again after `restartMs`. */
  | {
      readonly kind: 'kill';
      readonly step: number;
      readonly slot: number;
      readonly restartMs: number;
    }
  /** A process is frozen. */
  | { readonly kind: 'pause'; readonly step: number; readonly slot: number; readonly forMs: number }
  /** A worker finishes and leaves. */
  | { readonly kind: 'stop'; readonly step: number; readonly slot: number }
  /** A worker joins. */
  | { readonly kind: 'join'; readonly step: number; readonly slot: number }
  /** The wall clock of a process is set. */
  | { readonly kind: 'jump'; readonly step: number; readonly slot: number; readonly byMs: number }
  /** The links of a process break. */
  | { readonly kind: 'cut'; readonly step: number; readonly slot: number }
  /** A second loader is started under the same id while the first one lives. */
  | { readonly kind: 'usurp'; readonly step: number }
  /** Of the messages between these steps, one in `of` is lost, doubled or late. */
  | {
      readonly kind: 'noise';
      readonly step: number;
      readonly steps: number;
      readonly what: 'lose' | 'double' | 'delay';
      readonly of: number;
    }
  /** Commits between these steps take this long. */
  | { readonly kind: 'slow'; readonly step: number; readonly steps: number; readonly ms: number }
  /** So many commits fail, from this one on; or the process that makes it dies. */
  | {
      readonly kind: 'disk';
      readonly commit: number;
      readonly commits: number;
      readonly fault: DiskFault;
    };

const HOUR_MS = 3_600_000;

/** Draws what goes wrong: nothing, or little, or much of some kinds. */
export function drawFaults(draw: Random, slots: number, steps: number, leaseMs: number): Fault[] {
  const loader = slots - 1;
  const step = (): number => draw.below(steps);
  const slot = (): number => draw.below(slots);
  const worker = (): number => draw.below(loader);
  const kinds: ((kinds: number) => Fault)[] = [
    () => ({ kind: 'kill', step: step(), slot: slot(), restartMs: draw.below(400) }),
    () => ({ kind: 'pause', step: step(), slot: slot(), forMs: draw.below(3 * leaseMs) }),
    () => ({ kind: 'stop', step: step(), slot: worker() }),
    () => ({ kind: 'join', step: step(), slot: worker() }),
    () => ({ kind: 'jump', step: step(), slot: slot(), byMs: (2 * draw.below(2) - 1) * HOUR_MS }),
    () => ({ kind: 'cut', step: step(), slot: slot() }),
    () => ({ kind: 'usurp', step: step() }),
    () => ({
      kind: 'noise',
      step: step(),
      steps: 20 + draw.below(200),
      what: (['lose', 'double', 'delay'] as const)[draw.below(3)] ?? 'lose',
      of: 1 + draw.below(4),
    }),
    () => ({ kind: 'slow', step: step(), steps: 20 + draw.below(100), ms: 1 + draw.below(60) }),
    () => ({
      kind: 'disk',
      commit: draw.below(Math.ceil(steps / 6)),
      commits: 1 + (draw.below(3) === 0 ? draw.below(8) : 0),
      fault: (['full', 'lost-before', 'lost-after', 'die-before', 'die-after'] as const)[
        draw.below(5)
      ] as DiskFault,
    }),
  ];
  // A few kinds at a time: together they would hide each other.
  const chosen = Array.from({ length: 1 + draw.below(4) }, () => kinds[draw.below(kinds.length)]);
  const count = draw.below(8) === 0 ? 0 : 1 + draw.below(8);
  const faults = Array.from({ length: count }, () =>
    (chosen[draw.below(chosen.length)] as (kinds: number) => Fault)(0),
  );
  return faults.toSorted((a, b) => orderOf(a) - orderOf(b));
}

function orderOf(fault: Fault): number {
  return fault.kind === 'disk' ? fault.commit * 6 : fault.step;
}

/** A fault in words. */
export function faultText(fault: Fault): string {
  const { kind, ...rest } = fault;
  return `${kind} ${JSON.stringify(rest)}`;
}
