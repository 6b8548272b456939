/**
 * Options of an app, checked and with their defaults.
 *
 * @module
 */
import { json } from '../codec/json.ts';
import type { Codec } from '../codec/codec.ts';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { validName } from '../core/names.ts';
import { systemRandom } from '../core/random.ts';
import type { Random } from '../core/random.ts';
import type { CommitSettings } from '../runtime/task-options.ts';

/** When tasks commit. What is not committed is processed again after a crash. */
export interface CommitOptions {
  /** After this many events of a task, 1 to 1,000,000. Default 10,000. */
  readonly every?: number | undefined;
  /** This long after a task's first uncommitted event. Default 100 ms. It is the delay of everything that the app sends. */
  readonly interval?: Duration | undefined;
  /** When this many bytes of output are held back in a task, at least 64 KiB. Default 4 MiB. */
  readonly maxBufferedBytes?: number | undefined;
  /** How long a full disk is put up with, trying again from the last commit, before the worker fails. Default 10 minutes. */
  readonly retryFor?: Duration | undefined;
}

/** How an app is declared. */
export interface AppOptions {
  /**
   * Where topics and state live. `file:<directory>` is the embedded log (default `file:./data`; relative to the working directory),
   * `memory:<name>` is this app's own and gone when it is closed.
   */
  readonly broker?: `file:${string}` | `memory:${string}` | undefined;
  /** Raise it to start afresh beside the old state: positions, tables and internal topics belong to a version. Default 1. */
  readonly version?: number | undefined;
  /** Codec of values in topics that name none. Default `json`. */
  readonly codec?: Codec<unknown> | undefined;
  readonly commit?: CommitOptions | undefined;
  /** Key, value and headers of a record together, at least 1 KiB. Default 1 MiB. */
  readonly maxRecordBytes?: number | undefined;
  /** A task whose inputs have been at their end for so long lets the tasks behind it go on without it. Default 1 s. */
  readonly idleAfter?: Duration | undefined;
  /** Time for tests. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Chance for tests. Default: the system's. */
  readonly random?: Random | undefined;
  /** Told of failures that the worker deals with by itself. Default: a line on standard error. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** Checked options. */
export interface Settings {
  readonly id: string;
  /** Prefix of everything that belongs to this app and version. */
  readonly group: string;
  readonly broker: string;
  readonly codec: Codec<unknown>;
  readonly commit: CommitSettings;
  readonly retryForMs: number;
  readonly maxRecordBytes: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly warn: (message: string) => void;
}

const MiB = 1024 * 1024;

/** @throws `MR_NAME_INVALID`, `MR_OPTION_INVALID`. */
export function settingsOf(id: string, options: AppOptions): Settings {
  validName('app', id);
  if (/-v\d+$/.test(id))
    throw new MillraceError(
      'MR_NAME_INVALID',
      `the app id ${id} ends like a version, and its state could be taken for that of another app; choose another id, or use the option version`,
      { details: { what: 'app' } },
    );
  const version = inRange('version', options.version ?? 1, 1, 1_000_000);
  const { commit = {} } = options;
  return {
    id,
    group: version === 1 ? id : `${id}-v${version}`,
    broker: options.broker ?? 'file:./data',
    codec: options.codec ?? json,
    commit: {
      every: inRange('commit.every', commit.every ?? 10_000, 1, 1_000_000),
      intervalMs: durationMs(commit.interval ?? 100, 'commit.interval'),
      maxBufferedBytes: inRange(
        'commit.maxBufferedBytes',
        commit.maxBufferedBytes ?? 4 * MiB,
        65_536,
        64 * MiB,
      ),
      maxDirtyRows: 50_000,
      idleAfterMs: durationMs(options.idleAfter ?? 1_000, 'idleAfter'),
      checkpointEntries: 50_000,
    },
    retryForMs: durationMs(commit.retryFor ?? '10m', 'commit.retryFor'),
    maxRecordBytes: inRange('maxRecordBytes', options.maxRecordBytes ?? MiB, 1_024, 64 * MiB),
    clock: options.clock ?? systemClock(),
    random: options.random ?? systemRandom(),
    // The app's only output of its own: failures must not pass in silence where no logger was given.
    warn: options.warn ?? ((message) => process.stderr.write(`millrace: ${message}\n`)),
  };
}

/** A whole number within bounds. @throws `MR_OPTION_INVALID`. */
export function inRange(name: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${String(value)}; give a whole number from ${least} to ${most}`,
      {
        details: { option: name, value },
      },
    );
  return value;
}
