/**
 * What a verification tells: counts, and problems as data.
 *
 * @module
 */
import type { KvReader } from '../kv/kv.ts';

/** Most problems that are listed; the others are counted. */
export const MAX_PROBLEMS = 1000;

/** Something that is not as it should be. */
export interface VerifyProblem {
  /** `'warning'`: nothing is damaged, but somebody should know, for example that a group will find `MR_OFFSET_LOST`. */
  readonly severity: 'error' | 'warning';
  /** What is concerned: a file, frame, row or position. */
  readonly kind:
    | 'file'
    | 'frame'
    | 'gap'
    | 'ends'
    | 'row'
    | 'position'
    | 'checkpoint'
    | 'orphan'
    | 'lost';
  /** Where: `topic[partition]@offset`, `task <id> of group <name>` and the like. */
  readonly place: string;
  readonly text: string;
}

/** How much has been looked at. */
export interface VerifyCounts {
  readonly topics: number;
  readonly partitions: number;
  readonly frames: number;
  readonly records: number;
  /** Of frames. */
  readonly frameBytes: number;
  readonly groups: number;
  readonly tasks: number;
  readonly producers: number;
  /** Rows of table `state`. */
  readonly stateRows: number;
}

/** The result of a verification. */
export interface VerifyReport extends VerifyCounts {
  /** No problem is an error. */
  readonly ok: boolean;
  /** The first {@link MAX_PROBLEMS}. */
  readonly problems: readonly VerifyProblem[];
  /** How many there are in all. */
  readonly problemCount: number;
}

/** How far a verification has come. */
export interface VerifyProgress extends VerifyCounts {
  /** What is being looked at. */
  readonly place: string;
  readonly problemCount: number;
}

/** What the layer above knows of table `state`, whose rows are its own. */
export interface StateCheck {
  /** Where the changelog of a task is, `undefined` for a task without one. */
  changelogOf(
    group: string,
    task: string,
  ): { readonly topic: string; readonly partition: number } | undefined;
  /** Offset of the first changelog record that is not in the checkpoint. May throw; the error is reported. */
  position(kv: KvReader, stateId: number): number;
  /** What is wrong with a row, or `undefined`. */
  defectOf(key: Uint8Array, value: Uint8Array): string | undefined;
}
