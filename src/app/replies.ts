/**
 * How questions and answers travel: as records of an internal topic of the app, one for all of its agents and for all processes that ask.
 *
 * A question is an event of the asked agent's topic like any other, with headers that say where its answer is to go. An answer is the MessagePack of
 * the result, and has the number of the question and how it went in its headers. It is part of the commit that finishes the event, so it is
 * there exactly as often as everything else that came of the event.
 *
 * @module
 */
import type { TopicSpec } from '../broker/broker.ts';
import { msgpack } from '../codec/msgpack.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import type { Headers } from '../core/types.ts';
import { ASKED_AGENT, CORRELATION_ID, REPLY_TO } from '../runtime/answer.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { Reply } from '../runtime/task-options.ts';
import type { Settings } from './options.ts';

/** Fixed for the life of the topic. Each process that asks reads one of them. */
const PARTITIONS = 8;
/** Whoever asks reads on as long as it waits, so this is for how long it may be frozen. */
const RETENTION_MS = 600_000;
/** The same, in bytes of a partition. */
const RETENTION_BYTES = 64 * 1024 * 1024;
/** How an answer came about: `result`, `none` or `error`. */
const STATUS = 'mr-reply';
/** Longer texts and numbers are cut, or not meant. */
const MAX_TEXT = 1_000;
const MAX_ID = 100;

/** An answer as it was read. */
export type Answered =
  | { readonly kind: 'result'; readonly value: unknown }
  | { readonly kind: 'none' }
  | { readonly kind: 'error'; readonly error: RemoteError };

/** An error of another process. */
export interface RemoteError {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
}

/** Name of the topic that answers travel in. */
export function repliesTopic(group: string): string {
  return `${group}-replies`;
}

/** Its records: of any value that msgpack can carry. */
export function repliesFormat({ group, maxRecordBytes }: Settings): TopicFormat {
  return {
    topic: repliesTopic(group),
    partitions: PARTITIONS,
    codec: msgpack,
    keyCodec: undefined,
    checkIn: undefined,
    checkOut: undefined,
    checkKey: undefined,
    timestamp: undefined,
    maxRecordBytes,
  };
}

/** The topic as the broker is told of it. No task reads it, so it is retention that deletes what has been read. */
export function repliesSpec({ group, id }: Settings): TopicSpec {
  return {
    name: repliesTopic(group),
    partitions: PARTITIONS,
    codec: msgpack.name,
    role: 'source',
    owner: group,
    keep: { retentionMs: RETENTION_MS, retentionBytes: RETENTION_BYTES, compact: false },
    declaredBy: id,
  };
}

/** The headers of a question. */
export function questionHeaders(
  format: TopicFormat,
  agent: string,
  partition: number,
  id: string,
): Headers {
  return {
    [REPLY_TO]: `${format.topic}/${partition}`,
    [CORRELATION_ID]: id,
    [ASKED_AGENT]: agent,
  };
}

/** How agents answer questions that came by {@link questionHeaders}. */
export function replyBy(format: TopicFormat): Reply {
  return (agent, answer, event, send) => {
    const headers = event.headers ?? {};
    if (textOf(headers[ASKED_AGENT]) !== agent) return;
    const partition = partitionOf(format, textOf(headers[REPLY_TO]));
    const id = textOf(headers[CORRELATION_ID]);
    if (partition === undefined || id.length > MAX_ID) return;
    const reply = (status: Answered['kind'], value: unknown): void =>
      send(format, value, partition, { [CORRELATION_ID]: id, [STATUS]: status });
    if (answer.kind === 'none') return reply('none', null);
    if (answer.kind === 'error') return reply('error', remoteError(answer.error));
    try {
      reply('result', answer.value);
    } catch (error) {
      // Nobody may make an agent fail by asking it: its result is good enough for its sinks.
      if (!isUnsendable(error)) throw error;
      reply('error', remoteError(error));
    }
  };
}

/** Number of the question that a record answers; empty for none. */
export function correlationOf(headers: Headers | null): string {
  return textOf(headers?.[CORRELATION_ID]);
}

/** @throws `MR_DECODE_FAILED` */
export function readAnswer(headers: Headers | null, bytes: Uint8Array | null): Answered {
  const value = bytes === null ? null : msgpack.decode(bytes);
  const kind = textOf(headers?.[STATUS]);
  if (kind === 'error') return { kind, error: value as RemoteError };
  return kind === 'none' ? { kind } : { kind: 'result', value };
}

/** The partition of our own topic that `replyTo` names; `undefined` for another topic, as that of another app which asked an agent of its own. */
function partitionOf(format: TopicFormat, replyTo: string): number | undefined {
  const slash = replyTo.lastIndexOf('/');
  if (replyTo.slice(0, slash) !== format.topic) return undefined;
  const partition = Number(replyTo.slice(slash + 1));
  return Number.isInteger(partition) && partition >= 0 && partition < format.partitions
    ? partition
    : undefined;
}

function remoteError(error: unknown): RemoteError {
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string'
      ? error.code.slice(0, MAX_ID)
      : undefined;
  const name = error instanceof Error ? error.name : typeof error;
  return {
    name: name.slice(0, MAX_ID).toWellFormed(),
    message: messageOf(error).slice(0, MAX_TEXT).toWellFormed(),
    code,
  };
}

function isUnsendable(error: unknown): boolean {
  return (
    MillraceError.is(error) &&
    (error.code === 'MR_ENCODE_FAILED' || error.code === 'MR_RECORD_TOO_LARGE')
  );
}

function textOf(header: string | Uint8Array | undefined): string {
  if (header === undefined || typeof header === 'string') return header ?? '';
  return Buffer.from(header.buffer, header.byteOffset, header.length).toString('utf8');
}
