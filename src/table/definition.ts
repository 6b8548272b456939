/**
 * What tables of both kinds share: their declaration, what they need from their app, and the rules for keys and rows.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import type { Clock } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import { isPromise } from '../core/types.ts';
import type { EventCell, KeyRef } from '../core/event.ts';
import type { TablePort } from '../stream/operator.ts';
import { DELETE } from '../stream/delete.ts';
import type { Finder } from './processing.ts';

/** What a table needs from its app. */
export interface TableHost {
  readonly processing: Finder;
  readonly clock: Clock;
  /** Committed rows of a keyed table, from all partitions. */
  rows(table: TableDefinition): AsyncIterableIterator<readonly [KeyRef, unknown]>;
  /** Committed rows of a windowed table, from all partitions. */
  windowRows(
    table: string,
    codec: Codec<unknown>,
  ): AsyncIterableIterator<readonly [start: number, KeyRef, unknown]>;
  /** A table was given windows: from now on it is only used through them. */
  declare(table: TablePort): void;
  /** Where the rows of a table live; `undefined` while there are none. */
  home(table: string): Promise<TableHome | undefined>;
  /** Has the owner of a task answer a question (`query.ts`). @throws as `Broker.ask`. */
  ask(task: string, question: Uint8Array, options: AskLimits): Promise<Uint8Array>;
  /** Answers a question from what is stored of a task, beside its owner. */
  stored(task: string, question: Uint8Array): Promise<Uint8Array>;
}

/** Which tasks hold the rows of a table: those of this sub-topology, split by the canonical bytes of the key. */
export interface TableHome {
  /** The name that the table is stored under, which all processes agree about. */
  readonly table: string;
  readonly subTopology: string;
  readonly partitions: number;
}

/** How long to wait for an answer. */
export interface AskLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** A checked declaration. */
export interface TableDefinition {
  readonly name: string;
  readonly codec: Codec<unknown>;
  /** What reading a missing row gives. */
  readonly default: (() => unknown) | undefined;
  /** How long a row lives after it was written last, in milliseconds of stream time. Default: for ever. */
  readonly ttlMs?: number | undefined;
}

/** The key of the event that a declared update is about. @throws `MR_KEY_MISSING` */
export function mustKey(table: string, event: EventCell | null): KeyRef {
  if (event === null || event.key === null)
    throw new MillraceError(
      'MR_KEY_MISSING',
      `table ${table} is updated by an event${event === null ? '' : ` of topic ${event.topic}`} that has no key; put groupBy(…) before update, or send with a key`,
      { details: { table, topic: event?.topic } },
    );
  return event.key;
}

/** What is stored for the result of an update. */
export function rowOf(table: string, next: unknown): unknown {
  if (next === undefined) throw undefinedRow(table);
  if (isPromise(next)) throw promisedRow(table, next);
  return next === DELETE ? undefined : next;
}

/** An update reads and writes with nothing in between. What the promise comes to is nobody's matter any more. */
function promisedRow(table: string, row: PromiseLike<unknown>): MillraceError {
  Promise.resolve(row).catch(() => undefined);
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    `table ${table} was given a promise as a row: the function of an update is not awaited; await first, in an agent, and update then`,
    { details: { table } },
  );
}

/** The error of a row that is `undefined`. */
export function undefinedRow(table: string): MillraceError {
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    `table ${table} was given undefined as a row; return the new row, or DELETE to remove it (did the function forget to return?)`,
    { details: { table } },
  );
}
