/**
 * @module
 */
import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkOptions } from '../../core/given.ts';
import { optionalPackage } from '../../core/optional-package.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside } from '../failure.ts';
import { byteLimit, connectorOptions } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { reconnecting } from '../reconnect.ts';
import type { Lost, ReconnectOptions } from '../reconnect.ts';
import { sourceOf } from '../source.ts';
import { mayPass, retryAfterMs, targetOf } from './request.ts';
import type { RequestHeaders, Target } from './request.ts';

/** One event of a server. */
export interface ServerSentEvent {
  /** Its type; `'message'` when the server gives none. */
  readonly event: string;
  /** Its lines, joined by line feeds. */
  readonly data: string;
  /** Its id, if it has one. */
  readonly id: string | undefined;
}

/** What {@link serverSentEvents} takes. */
export interface ServerSentEventsOptions extends ConnectorOptions, ReconnectOptions {
  /** Sent with each request. */
  readonly headers?: RequestHeaders | undefined;
  /** The id of the event to go on behind. Default: whatever the server begins with. */
  readonly lastEventId?: string | undefined;
  /** The longest event, 1 to 2^30 characters. Default 1,048,576. */
  readonly maxEventLength?: number | undefined;
}

/**
 * The events of an HTTP server (`text/event-stream`). Needs the package `eventsource-parser`.
 *
 * When the connection ends it is made again, with the id of the last event that was dealt with in `Last-Event-ID`, so a server that keeps its
 * events goes on behind it. It waits for as long as the server's `retry` or `Retry-After` says
 * (an hour at most), or `reconnect` if that is longer. An answer of 204 closes the stream. Network
 * errors and the answers 408, 429 and 5xx are tried again; any other, and another type of content, fails the stream.
 *
 * - *Order*: kept.
 * - *Back-pressure*: the answer is read no faster than its events are dealt with.
 * - *State*: one event, up to `maxEventLength`, those of one chunk, and the last id.
 * - *Delivery*: as the server does it: one that honours `Last-Event-ID` sends an event again that was under way when the connection was lost.
 *
 * It fails with `MR_IO` when it has connected in vain for as often as `reconnect` says, with `MR_RECORD_TOO_LARGE` on an event that is too long, and
 * with `MR_DEPENDENCY_MISSING`.
 *
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`
 */
export function serverSentEvents(
  url: string | URL,
  options: ServerSentEventsOptions = {},
): Stream<ServerSentEvent> {
  checkOptions<ServerSentEventsOptions>('serverSentEvents', options, {
    ...connectorOptions,
    headers: true,
    lastEventId: true,
    reconnect: true,
    maxEventLength: true,
  });
  const target = targetOf('serverSentEvents', url, options.headers, {
    accept: 'text/event-stream',
    'cache-control': 'no-store',
  });
  const { clock = systemClock(), lastEventId: first = '' } = options;
  if (/[\0\r\n]/.test(first))
    throw new MillraceError(
      'MR_OPTION_INVALID',
      'lastEventId has a line end or a zero in it; give the id of an event',
      { details: { option: 'lastEventId' } },
    );
  const maxEventLength = byteLimit('maxEventLength', options.maxEventLength);

  let lastEventId = first;
  let serverWaitMs = 0;
  const run = reconnecting<ServerSentEvent>(
    'serverSentEvents',
    options,
    async ({ emitAll, signal, opened }, received) => {
      const { createParser } = await optionalPackage(
        'eventsource-parser',
        'serverSentEvents needs',
        async () => await import('eventsource-parser'),
      );
      const answer = await request(target, lastEventId, signal, clock);
      if (answer === 'over') return answer;
      if (!(answer instanceof Response))
        return { ...answer, waitMs: Math.max(answer.waitMs ?? 0, serverWaitMs) };
      opened();
      let complete: ServerSentEvent[] = [];
      let tooLong = false;
      const parser = createParser({
        maxBufferSize: maxEventLength,
        onEvent: ({ event = 'message', data, id }) => void complete.push({ event, data, id }),
        onRetry: (waitMs) => void (serverWaitMs = waitMs),
        onError: ({ type }) => void (tooLong ||= type === 'max-buffer-size-exceeded'),
      });
      const texts = textsOf(answer);
      for (;;) {
        let error: unknown;
        try {
          const next = await texts.next();
          if (next.done === true) return { waitMs: serverWaitMs };
          parser.feed(next.value);
        } catch (thrown) {
          error = outside(`the answer of ${target.shown} broke off`, thrown);
        }
        await emitAll(complete);
        if (signal.aborted) return 'over';
        if (complete.length > 0) received();
        lastEventId = complete.findLast(({ id }) => id !== undefined)?.id ?? lastEventId;
        complete = [];
        if (tooLong) throw tooLongEvent(target.shown, maxEventLength);
        if (error !== undefined) return { error, waitMs: serverWaitMs };
      }
    },
  );
  return sourceOf<ServerSentEvent>('serverSentEvents', options, run);
}

/** An answer with events, or `'over'` when there will be none, or what is wrong now. @throws what will stay wrong. */
async function request(
  { url, shown, headers }: Target,
  lastEventId: string,
  signal: AbortSignal,
  clock: Clock,
): Promise<Response | 'over' | Lost> {
  let response: Response;
  try {
    const all = new Headers(headers);
    // As bytes of UTF-8, one character each: all that a header can be.
    if (lastEventId !== '') all.set('last-event-id', Buffer.from(lastEventId).toString('latin1'));
    response = await fetch(url, { headers: all, signal });
  } catch (error) {
    return { error: outside(`${shown} cannot be reached`, error) };
  }
  const { status } = response;
  const type = response.headers.get('content-type') ?? '';
  if (status === 200 && /^text\/event-stream(?:;|$)/i.test(type)) return response;
  await response.body?.cancel();
  if (status === 204) return 'over';
  const passes = mayPass(status);
  const error = new MillraceError(
    'MR_IO',
    status === 200
      ? `${shown} has answered with ${JSON.stringify(type.slice(0, 80))} instead of text/event-stream; is that the right path`
      : `${shown} has answered with status ${status} instead of events; look at the URL and at the headers it wants`,
    { domain: 'external', retryable: passes, details: { url: shown, status, type } },
  );
  if (!passes) throw error;
  return { error, waitMs: retryAfterMs(response.headers, clock.now()) };
}

async function* textsOf(response: Response): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  if (response.body !== null)
    for await (const chunk of response.body) yield decoder.decode(chunk, { stream: true });
}

function tooLongEvent(shown: string, maxEventLength: number): MillraceError {
  return new MillraceError(
    'MR_RECORD_TOO_LARGE',
    `an event of ${shown} has more than ${maxEventLength} characters; look at what it sends, or raise maxEventLength`,
    { domain: 'external', details: { url: shown, maxEventLength } },
  );
}
