/**
 * Asking for a row from outside: which task to ask, and what to do while nobody answers.
 *
 * @module
 */
import { partitionOf } from '../codec/partition.ts';
import { abortError, sleep } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { taskId } from '../topology/topology.ts';
import type { TableDefinition, TableHost } from './definition.ts';
import { decodeAnswer, encodeQuestion, questionOf } from './question.ts';
import type { Question } from './question.ts';

/** How a row is asked for. */
export interface QueryOptions {
  /** Ends the wait with `MR_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** How long to look for an owner and wait for its answer. Default 5 s. */
  readonly timeout?: Duration | undefined;
  /** Read what is stored instead of asking the owner: works without a worker, and gives the state of the last commit. Default false. */
  readonly stale?: boolean | undefined;
}

/** How a row of a windowed table is asked for. */
export interface WindowQueryOptions extends QueryOptions {
  /**
   * The window that holds this time, milliseconds since 1970 (the latest of them), or `'now'`: the window of `now(key)`. Default `'now'`.
   */
  readonly at?: number | 'now' | undefined;
}

/** Pause before an owner is looked for again: the first one, and the longest. */
const PAUSE_FIRST_MS = 50;
const PAUSE_MOST_MS = 1_000;

/** An attempt gets at least this much of the time that is left: half of it if that is more, so that another owner can still be asked. */
const ATTEMPT_LEAST_MS = 500;

/** The stored row of `key`; `undefined` where there is none. @throws as `Table.query`. */
export async function queryRow(
  host: TableHost,
  { name, codec }: TableDefinition,
  key: unknown,
  window: Question['window'],
  options: QueryOptions,
): Promise<unknown> {
  const timeoutMs = durationMs(options.timeout ?? 5_000, 'timeout', 1);
  const stale = options.stale ?? false;
  if (!stale && (host.processing.find()?.event ?? null) !== null)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `query of table ${name} was called while an event is processed: the answer may have to wait for the commit of that very event; use ${name}.get(key), or query(key, { stale: true })`,
      { details: { table: name } },
    );
  if (options.signal?.aborted === true) throw abortError(options.signal);
  const question = questionOf(name, key, window);
  const home = await host.home(name);
  if (home === undefined) return undefined;
  const task = taskId(home.subTopology, partitionOf(question.key, home.partitions));
  const bytes = encodeQuestion({ ...question, table: home.table });
  const answer = stale
    ? await host.stored(task, bytes)
    : await askOwner(host, task, bytes, timeoutMs, options.signal);
  return decodeAnswer(answer, codec);
}

/** Asks until somebody answers or time is up: an owner may be about to come, or have died without anybody's knowledge. */
async function askOwner(
  host: TableHost,
  task: string,
  question: Uint8Array,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { clock } = host;
  const deadline = clock.monotonic() + timeoutMs;
  for (let pauseMs = PAUSE_FIRST_MS; ; pauseMs = Math.min(PAUSE_MOST_MS, pauseMs * 2)) {
    const leftMs = deadline - clock.monotonic();
    const attemptMs = Math.max(1, Math.min(leftMs, Math.max(leftMs / 2, ATTEMPT_LEAST_MS)));
    try {
      return await host.ask(task, question, { timeoutMs: attemptMs, signal });
    } catch (error) {
      if (!isPassing(error)) throw error;
      const restMs = deadline - clock.monotonic();
      if (restMs <= 0) throw error;
      await sleep(clock, Math.min(pauseMs, restMs), signal);
      if (clock.monotonic() >= deadline) throw error;
    }
  }
}

function isPassing(error: unknown): boolean {
  return MillraceError.is(error) && (error.code === 'MR_NO_OWNER' || error.code === 'MR_TIMEOUT');
}
