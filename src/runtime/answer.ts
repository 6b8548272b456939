/**
 * What an agent answers to whoever has asked it, and how an event tells that somebody has.
 *
 * Who asks says in headers of the event where the answer is to go. They concern the asked agent and this event alone, so they are
 * not handed on with the agent's results.
 *
 * @module
 */
import type { Headers } from '../core/types.ts';

/** What has come of an event. */
export type Answer =
  | { readonly kind: 'result'; readonly value: unknown }
  /** The event is finished, and there was no result. */
  | { readonly kind: 'none' }
  /** The event's policy has given it up. */
  | { readonly kind: 'error'; readonly error: unknown };

/** Where the answer is to go: topic, a slash, partition. */
export const REPLY_TO = 'mr-reply-to';
/** What the answer is to be told by. */
export const CORRELATION_ID = 'mr-correlation-id';
/** Name of the agent that was asked: others may read the same topic. */
export const ASKED_AGENT = 'mr-asked-agent';

/** Whether somebody waits for an answer to an event with these headers. */
export function isAsked(headers: Headers | null): headers is Headers {
  return headers !== null && REPLY_TO in headers;
}

/** The headers of what comes of an event: its own, without those of a question. */
export function handedOn(headers: Headers | null): Headers | null {
  if (!isAsked(headers)) return headers;
  const rest: Record<string, string | Uint8Array> = { ...headers };
  for (const name of [REPLY_TO, CORRELATION_ID, ASKED_AGENT]) delete rest[name];
  return Object.keys(rest).length === 0 ? null : rest;
}
