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
import { checkOptions } from '../core/given.ts';
import type { Known } from '../core/given.ts';
import type { Logger } from '../core/log.ts';
import { validName } from '../core/names.ts';
import { systemRandom } from '../core/random.ts';
import type { Random } from '../core/random.ts';
import type { CommitSettings } from '../runtime/task-options.ts';
import { policyOf } from '../stream/policy.ts';
import type { OnError, Policy } from '../stream/policy.ts';

/** When tasks commit. What is not committed is processed again after a crash. */
export interface CommitOptions {
  /** After this many events of a task, 1 to 1,000,000. Default 10,000. */
  readonly every?: number | undefined;
  /** This long after a task's first uncommitted event. Default 100 ms. Exactly-once, it is the delay of everything that the app sends. */
  readonly interval?: Duration | undefined;
  /**
   * Tasks whose agents take long spend no more than about a tenth of their time waiting for them, and so commit less often than `interval` says;
   * but at least this often. Default 10 s, or `interval` if that is longer.
   */
  readonly maxInterval?: Duration | undefined;
  /**
   * How long an event may take to finish once a commit waits for it, or once its task is to move to another worker. A commit that waits longer
   * makes the worker fail; a task that is to move is given up without those events. Longer than all waits of a retry. Default 1 minute.
   */
  readonly drainTimeout?: Duration | undefined;
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
  /**
   * Names that state is stored under, by the names that it is to have: after a change of the program that a start refuses with
   * `MR_TOPOLOGY_CHANGED`, for tables and operator states, and for sub-topologies, as `topology()` prints them.
   */
  readonly rename?: Readonly<Record<string, string>> | undefined;
  /** Codec of values in topics that name none. Default `json`. */
  readonly codec?: Codec<unknown> | undefined;
  /**
   * `'exactly-once'` (default): what an event changes and sends is visible once its positions are stored, and once. `'at-least-once'`: what it
   * sends is visible at once, and may come twice after a crash, as may its changes of tables.
   */
  readonly processing?: 'exactly-once' | 'at-least-once' | undefined;
  /** What becomes of an event that failed, where no nearer policy stands. Default `'fail'`: the worker stops and says why. */
  readonly onError?: OnError | undefined;
  readonly commit?: CommitOptions | undefined;
  /** Key, value and headers of a record together, at least 1 KiB. Default 1 MiB. */
  readonly maxRecordBytes?: number | undefined;
  /** Where an app begins to read a topic that it has not read before. Default `'earliest'`. */
  readonly startFrom?: 'earliest' | 'latest' | undefined;
  /** Whether to stop (default) or to go on when retention has deleted records before they were read. They are counted. */
  readonly onOffsetLost?: 'fail' | 'skip' | undefined;
  /** A task whose inputs have been at their end for so long lets the tasks behind it go on without it. Default 1 s. */
  readonly idleAfter?: Duration | undefined;
  /** How long an input that has been read to its end holds back the others of the same task, at most `idleAfter`. Default 0. */
  readonly maxIdleWait?: Duration | undefined;
  /**
   * How far an input of a task may run ahead of another one that has no record, in event time: beyond that it waits until the other has one, or
   * has been without for `idleAfter`. Default: any.
   */
  readonly maxSkew?: Duration | undefined;
  /** Events whose time lies further ahead of the clock fail: one of them would close every window before it. Default: any time goes. */
  readonly maxFuture?: Duration | undefined;
  /** A worker that has not been heard of for so long loses its tasks, 500 ms to 10 minutes. One that dies loses them at once. Default 10 s. */
  readonly lease?: Duration | undefined;
  /** A task whose event has been under way for so long makes the worker fail, 1 s or more. Default 5 minutes. */
  readonly stallAfter?: Duration | undefined;
  /**
   * A program (`main`, `millrace worker`) whose thread has been stuck in synchronous code for so long is ended by its watchdog, with status 70;
   * 1 s or more. Default 1 minute.
   */
  readonly stuckAfter?: Duration | undefined;
  /** Rows that the tables of a task keep in memory, 100 to 100,000,000; the others are read from the disk. Default 250,000. */
  readonly cacheRows?: number | undefined;
  /** How often a worker deletes what retention allows. Default 1 minute. */
  readonly maintainEvery?: Duration | undefined;
  /** Groups of this broker, of whatever app, that have had no worker for so long are forgotten, with their state. Default: never. */
  readonly groupExpiry?: Duration | undefined;
  /** Time for tests. Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Chance for tests. Default: the system's. */
  readonly random?: Random | undefined;
  /** Told what happens to workers. Default: warnings and errors are lines on standard error. */
  readonly logger?: Logger | undefined;
}

/** Checked options. */
export interface Settings {
  readonly id: string;
  /** Prefix of everything that belongs to this app and version. */
  readonly group: string;
  readonly broker: string;
  readonly rename: Readonly<Record<string, string>>;
  readonly codec: Codec<unknown>;
  readonly atLeastOnce: boolean;
  readonly policy: Policy;
  readonly commit: CommitSettings;
  readonly retryForMs: number;
  readonly maxRecordBytes: number;
  readonly startFrom: 'earliest' | 'latest';
  readonly onOffsetLost: 'fail' | 'skip';
  readonly leaseMs: number;
  readonly stallAfterMs: number;
  readonly stuckAfterMs: number;
  readonly cacheRows: number;
  readonly maintainEveryMs: number;
  readonly groupExpiryMs: number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const APP_OPTIONS: Known<AppOptions> = {
  broker: true,
  version: true,
  rename: true,
  codec: true,
  processing: true,
  onError: true,
  commit: true,
  maxRecordBytes: true,
  startFrom: true,
  onOffsetLost: true,
  idleAfter: true,
  maxIdleWait: true,
  maxSkew: true,
  maxFuture: true,
  lease: true,
  stallAfter: true,
  stuckAfter: true,
  cacheRows: true,
  maintainEvery: true,
  groupExpiry: true,
  clock: true,
  random: true,
  logger: true,
  standbys: 'later',
  store: 'later',
  web: 'later',
};

const COMMIT_OPTIONS: Known<CommitOptions> = {
  every: true,
  interval: true,
  maxInterval: true,
  drainTimeout: true,
  maxBufferedBytes: true,
  retryFor: true,
};

const MiB = 1024 * 1024;

/** @throws `MR_NAME_INVALID`, `MR_OPTION_INVALID`. */
export function settingsOf(id: string, options: AppOptions): Settings {
  validName('app', id);
  const later = checkOptions(`app ${id}`, options, APP_OPTIONS);
  checkOptions(`commit of app ${id}`, options.commit, COMMIT_OPTIONS);
  const logger = options.logger ?? plainLogger();
  if (later.length > 0)
    logger.warn(
      { app: id, options: later },
      `app ${id}: ${later.join(' and ')} ${later.length === 1 ? 'is' : 'are'} not part of this version of millrace, and without effect`,
    );
  if (/-v\d+$/.test(id))
    throw new MillraceError(
      'MR_NAME_INVALID',
      `the app id ${id} ends like a version, and its state could be taken for that of another app; choose another id, or use the option version`,
      { details: { what: 'app' } },
    );
  const version = inRange('version', options.version ?? 1, 1, 1_000_000);
  const commit = commitSettings(options);
  const policy = policyOf(options.onError, 'onError');
  checkWaits('onError', policy, commit.drainTimeoutMs);
  return {
    id,
    group: version === 1 ? id : `${id}-v${version}`,
    broker: options.broker ?? 'file:./data',
    rename: options.rename ?? {},
    codec: options.codec ?? json,
    atLeastOnce:
      oneOf('processing', options.processing ?? 'exactly-once', [
        'exactly-once',
        'at-least-once',
      ] as const) === 'at-least-once',
    policy,
    commit,
    retryForMs: durationMs(options.commit?.retryFor ?? '10m', 'commit.retryFor'),
    maxRecordBytes: inRange('maxRecordBytes', options.maxRecordBytes ?? MiB, 1_024, 64 * MiB),
    startFrom: oneOf('startFrom', options.startFrom ?? 'earliest', ['earliest', 'latest'] as const),
    onOffsetLost: oneOf('onOffsetLost', options.onOffsetLost ?? 'fail', ['fail', 'skip'] as const),
    leaseMs: inRange('lease', durationMs(options.lease ?? '10s', 'lease'), 500, 600_000),
    stallAfterMs: durationMs(options.stallAfter ?? '5m', 'stallAfter', 1_000),
    stuckAfterMs: durationMs(options.stuckAfter ?? '1m', 'stuckAfter', 1_000),
    cacheRows: inRange('cacheRows', options.cacheRows ?? 250_000, 100, 100_000_000),
    maintainEveryMs: durationMs(options.maintainEvery ?? '1m', 'maintainEvery', 1_000),
    groupExpiryMs:
      options.groupExpiry === undefined
        ? undefined
        : durationMs(options.groupExpiry, 'groupExpiry', 60_000),
    clock: options.clock ?? systemClock(),
    random: options.random ?? systemRandom(),
    logger,
  };
}

function commitSettings(options: AppOptions): CommitSettings {
  const { commit = {} } = options;
  const intervalMs = durationMs(commit.interval ?? 100, 'commit.interval');
  return {
    every: inRange('commit.every', commit.every ?? 10_000, 1, 1_000_000),
    intervalMs,
    maxIntervalMs: durationMs(
      commit.maxInterval ?? Math.max(10_000, intervalMs),
      'commit.maxInterval',
      intervalMs,
    ),
    drainTimeoutMs: durationMs(commit.drainTimeout ?? '1m', 'commit.drainTimeout', 1),
    maxBufferedBytes: inRange(
      'commit.maxBufferedBytes',
      commit.maxBufferedBytes ?? 4 * MiB,
      65_536,
      64 * MiB,
    ),
    maxDirtyRows: 50_000,
    idleAfterMs: durationMs(options.idleAfter ?? 1_000, 'idleAfter'),
    checkpointEntries: 0,
    maxIdleWaitMs: durationMs(options.maxIdleWait ?? 0, 'maxIdleWait'),
    maxSkewMs: orInfinity(options.maxSkew, 'maxSkew'),
    maxFutureMs: orInfinity(options.maxFuture, 'maxFuture'),
  };
}

/** A commit waits for an event that is tried again; it must not give up before the policy does. @throws `MR_OPTION_INVALID` */
export function checkWaits(what: string, policy: Policy, drainTimeoutMs: number): void {
  if (policy.longestMs < drainTimeoutMs) return;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `the retries of ${what} may wait ${policy.longestMs} ms together, which is no less than commit.drainTimeout, ${drainTimeoutMs} ms; try fewer times, wait less, or raise commit.drainTimeout`,
    { details: { option: what, longestMs: policy.longestMs, drainTimeoutMs } },
  );
}

function orInfinity(value: Duration | undefined, name: string): number {
  return value === undefined ? Infinity : durationMs(value, name);
}

function oneOf<const T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      `${name} is ${JSON.stringify(value)}; give ${allowed.map((each) => `'${each}'`).join(' or ')}`,
      { details: { option: name, value } },
    );
  return value;
}

/** Failures must not pass in silence where no logger was given. */
function plainLogger(): Logger {
  return { debug: () => undefined, info: () => undefined, warn: writeLine, error: writeLine };
}

function writeLine(_fields: unknown, message: string): void {
  process.stderr.write(`millrace: ${message}\n`);
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
