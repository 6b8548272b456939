/**
 * Asking agents: sends questions, waits for the answers, and reads them from the partition that this process has chosen.
 *
 * While questions are open there is one reader for all of them; it begins at the end of the partition before the first one is sent, and ends with
 * the last. Everything that is known of an open question is in memory: if the process dies nobody waits any more, and an
 * answer that comes late is passed over.
 *
 * @module
 */
import type { Broker, PartitionReader } from '../broker/broker.ts';
import type { FrameView } from '../broker/frame-view.ts';
import { abortError } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { durationMs } from '../core/duration.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import type { Headers } from '../core/types.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { Processing } from '../table/processing.ts';
import { correlationOf, questionHeaders, readAnswer } from './replies.ts';
import type { Answered, RemoteError } from './replies.ts';
import { SharedAborts } from './shared-aborts.ts';

/** Questions that may be open at one time, per app and process. */
const MAX_OPEN = 10_000;
/** How long the reader waits for news before it looks again. */
const WAIT_MS = 1_000;
const TIMEOUT = '30s';

/** How an agent is asked. */
export interface AskOptions<K> {
  /** Key of the event. It decides, as always, which task gets it. */
  readonly key?: K | undefined;
  /** How long to wait for the answer, from 1 ms. Default 30 s. */
  readonly timeout?: Duration | undefined;
  /** Ends the wait. The event is processed all the same if it has been sent. */
  readonly signal?: AbortSignal | undefined;
}

/** Sends the event of a question, past the commit of whoever asks. */
export type SendQuestion = (value: unknown, key: unknown, headers: Headers) => Promise<unknown>;

/** What asking needs of the app. */
export interface AskContext {
  /** As they are at the time of a question. */
  settings(): {
    readonly id: string;
    readonly clock: Clock;
    readonly random: Random;
    readonly atLeastOnce: boolean;
  };
  readonly processing: Processing;
  readonly format: TopicFormat;
  /** The open broker, with the topic for answers on it. */
  broker(): Promise<Broker>;
}

interface Open {
  readonly agent: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The open questions of an app in this process. */
export class Asker {
  readonly #context: AskContext;
  readonly #open = new Map<string, Open>();
  readonly #aborts = new SharedAborts();
  /** Drawn at the first question. */
  #self: { readonly name: string; readonly partition: number } | undefined;
  #asked = 0;
  /** While there is a reader: resolves when it stands at its place. */
  #reading: Promise<void> | undefined;
  #stop = new AbortController();

  constructor(context: AskContext) {
    this.#context = context;
  }

  /** Sends `value` to an agent and resolves with its answer. Errors as in `Agent.ask`. */
  async ask(
    agent: string,
    send: SendQuestion,
    value: unknown,
    options: AskOptions<unknown>,
  ): Promise<unknown> {
    const { processing, format } = this.#context;
    const { clock, random, atLeastOnce } = this.#context.settings();
    const { key, signal } = options;
    const timeoutMs = durationMs(options.timeout ?? TIMEOUT, 'timeout', 1);
    if (!atLeastOnce && processing.find() !== undefined) throw insideProcessing(agent);
    if (signal?.aborted === true) throw abortError(signal);
    if (this.#open.size >= MAX_OPEN) throw tooMany();
    this.#self ??= { name: random.name(16), partition: random.below(format.partitions) };
    const { name, partition } = this.#self;
    const id = `${name}-${++this.#asked}`;
    return await new Promise((resolve, reject) => {
      const close = (): void => {
        this.#open.delete(id);
        timer.cancel();
        leave?.();
      };
      const fail = (error: unknown): void => {
        close();
        reject(error);
      };
      const timer = clock.setTimer(timeoutMs, () => fail(this.#tooLate(agent, timeoutMs)));
      const leave =
        signal === undefined ? undefined : this.#aborts.add(signal, () => fail(abortError(signal)));
      this.#open.set(id, {
        agent,
        resolve: (answer) => {
          close();
          resolve(answer);
        },
        reject: fail,
      });
      this.#send(id, () => send(value, key, questionHeaders(format, agent, partition, id))).catch(
        fail,
      );
    });
  }

  async #send(id: string, send: () => Promise<unknown>): Promise<void> {
    this.#reading ??= this.#read();
    await this.#reading;
    // It may have been given up meanwhile.
    if (this.#open.has(id)) await send();
  }

  /** Begins to read; resolves when whatever is sent from now on will be seen. */
  async #read(): Promise<void> {
    const { signal } = this.#stop;
    try {
      const { topic } = this.#context.format;
      const { partition } = this.#self as { readonly partition: number };
      const broker = await this.#context.broker();
      const { end } = await broker.bounds(topic, partition);
      void this.#readOn(broker, broker.reader(topic, partition, end), partition, signal);
    } catch (error) {
      this.#failed(error, signal);
      throw error;
    }
  }

  /** Reads until no question is open. Never rejects. */
  async #readOn(
    broker: Broker,
    reader: PartitionReader,
    partition: number,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      while (!signal.aborted) {
        const seen = broker.changes();
        await this.#take(broker, reader, partition);
        if (this.#open.size === 0) break;
        await broker.changed(seen, WAIT_MS, signal);
      }
      if (this.#stop.signal === signal) this.#reading = undefined;
    } catch (error) {
      this.#failed(error, signal);
    }
  }

  /** Takes everything that is there. */
  async #take(broker: Broker, reader: PartitionReader, partition: number): Promise<void> {
    for (;;) {
      const from = reader.offset;
      let frame: FrameView | undefined;
      try {
        frame = await reader.next();
      } catch (error) {
        if (!MillraceError.is(error) || error.code !== 'MR_OFFSET_LOST') throw error;
        // It has been frozen for longer than answers are kept. Whoever misses one hears of that at the end of its time.
        reader.seek((await broker.bounds(this.#context.format.topic, partition)).start);
        continue;
      }
      if (frame === undefined) return;
      for (let i = Math.max(0, from - frame.baseOffset); i < frame.count; i++) {
        const headers = frame.headers(i);
        const open = this.#open.get(correlationOf(headers));
        if (open === undefined) continue;
        try {
          settle(open, readAnswer(headers, frame.value(i)));
        } catch (error) {
          open.reject(error);
        }
      }
    }
  }

  /** A reader cannot go on: the open questions fail, and the next one begins another reader. */
  #failed(error: unknown, signal: AbortSignal): void {
    if (this.#stop.signal !== signal) return;
    this.#reading = undefined;
    for (const { reject } of [...this.#open.values()]) reject(error);
  }

  /** Gives up all open questions. There may be others afterwards. */
  close(): void {
    const { id } = this.#context.settings();
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#reading = undefined;
    for (const { agent, reject } of [...this.#open.values()])
      reject(
        new MillraceError(
          'MR_CLOSED',
          `app ${id} was closed while agent ${agent} had not answered; await the answers before app.close()`,
          { details: { agent } },
        ),
      );
  }

  #tooLate(agent: string, timeoutMs: number): MillraceError {
    const { id } = this.#context.settings();
    return new MillraceError(
      'MR_TIMEOUT',
      `agent ${agent} did not answer within ${timeoutMs} ms; see that a worker of app ${id} runs and keeps up (millrace lag), or give it longer. The event may still be processed`,
      { domain: 'external', retryable: true, details: { agent, timeoutMs } },
    );
  }
}

function settle({ agent, resolve, reject }: Open, answered: Answered): void {
  switch (answered.kind) {
    case 'result':
      resolve(answered.value);
      return;
    case 'none':
      reject(
        new MillraceError(
          'MR_NO_REPLY',
          `agent ${agent} has finished the event without a result; ask for what it answers, or use cast`,
          { details: { agent } },
        ),
      );
      return;
    case 'error':
      reject(givenUp(agent, answered.error));
  }
}

function givenUp(agent: string, { name, message, code }: RemoteError): MillraceError {
  const cause = new Error(message);
  cause.name = name;
  if (code !== undefined) Object.assign(cause, { code });
  return new MillraceError(
    'MR_PROCESSING_FAILED',
    `agent ${agent} has given the event up: ${name}: ${message}`,
    { cause, details: { agent, name, code } },
  );
}

function insideProcessing(agent: string): MillraceError {
  return new MillraceError(
    'MR_ARGUMENT_INVALID',
    `agent ${agent} was asked by code that processes an event itself, and would wait for its own commit; use cast and have the answer come as an event, or ask from an app.task`,
    { details: { agent } },
  );
}

function tooMany(): MillraceError {
  return new MillraceError(
    'MR_OVERFLOW',
    `${MAX_OPEN} questions wait for their answers; await some before you ask more, or use map, which pushes back`,
    { retryable: true, details: { limit: MAX_OPEN } },
  );
}
