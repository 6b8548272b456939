/**
 * @module
 */
import { abortError, systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkOptions, checkWhole } from '../../core/given.ts';
import { plain } from '../encode.ts';
import type { Encode } from '../encode.ts';
import { outside } from '../failure.ts';
import { textOf } from '../options.ts';
import { sinkFunction } from '../sink-function.ts';
import type { SinkFunction } from '../sink-function.ts';
import { MqttLink, targetOf } from './library.ts';
import { mqttConnectOptions } from './options.ts';
import type { MqttConnectOptions, Qos } from './options.ts';

/** What {@link mqttSink} takes. */
export interface MqttSinkOptions<T> extends MqttConnectOptions {
  /** How sure messages are to arrive, see {@link Qos}. Default 1. */
  readonly qos?: Qos | undefined;
  /** Whether the broker keeps the last message of a topic for those who subscribe later. Default false. */
  readonly retain?: boolean | undefined;
  /** How long a value may take to be acknowledged, connecting included, at least 1 ms. Default 30 s. */
  readonly timeout?: Duration | undefined;
  /** Makes the payload of a value. Default: texts and bytes as they are, everything else as JSON. */
  readonly encode?: Encode<T> | undefined;
  /** Ends the connection when it aborts; values fail with `MR_ABORTED` then. */
  readonly signal?: AbortSignal | undefined;
  /** @internal Default: the platform's clock. */
  readonly clock?: Clock | undefined;
}

/**
 * Publishes each value on an MQTT broker. For `stream.sink`. It connects with the first value. Needs the package `mqtt`.
 *
 * - *Order*: kept.
 * - *Back-pressure*: a value is dealt with when the broker has acknowledged it; with QoS 0, when the system has taken it.
 * - *State*: the value under way.
 * - *Delivery*: QoS 1: at least once. QoS 2: once to the broker, unless it is given up and sent again by a policy. QoS 0: at most once.
 *
 * What it throws: `MR_TIMEOUT` (retryable), `MR_IO` (retryable), `MR_PERMISSION`, `MR_DEPENDENCY_MISSING`, `MR_ENCODE_FAILED`, `MR_ABORTED`, `MR_CLOSED`. A value that
 * was given up may be published all the same.
 *
 * @param topic Where to, or what makes that of a value.
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function mqttSink<T = unknown>(
  url: string | URL,
  topic: string | ((value: T) => string),
  options: MqttSinkOptions<T> = {},
): SinkFunction<T> {
  checkOptions<MqttSinkOptions<T>>('mqttSink', options, {
    ...mqttConnectOptions,
    qos: true,
    retain: true,
    timeout: true,
    encode: true,
    signal: true,
    clock: true,
  });
  const { qos = 1, retain = false, encode = plain, signal, clock = systemClock() } = options;
  if (typeof topic !== 'function') textOf('topic of mqttSink', topic);
  const topicOf = typeof topic === 'function' ? topic : (): string => topic;
  checkWhole('qos', qos, 0, 2);
  const timeoutMs = durationMs(options.timeout ?? '30s', 'timeout', 1);
  const target = targetOf('mqttSink', url, options);
  let link: MqttLink | undefined;
  /** Fails the value under way. */
  let fail: ((error: MillraceError) => void) | undefined;

  const letGo = (error: MillraceError): void => {
    // Or what is given up would pile up in the client.
    link?.drop();
    link = undefined;
    fail?.(error);
  };
  const stopped = (): void => {
    if (signal?.aborted !== true) return;
    const error = abortError(signal);
    letGo(error);
    throw error;
  };
  signal?.addEventListener('abort', () => letGo(abortError(signal)), { once: true });
  return sinkFunction<T>({
    what: 'mqttSink',
    send: async (value) => {
      stopped();
      const payload = encode(value);
      const name = textOf('topic of mqttSink', topicOf(value));
      link ??= await MqttLink.open(target, {}, (error) => {
        link = undefined;
        fail?.(error);
      });
      stopped();
      const { client } = link;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      fail = reject;
      const timer = clock.setTimer(timeoutMs, () => letGo(late(target.shown, timeoutMs)));
      const bytes = typeof payload === 'string' ? payload : Buffer.from(payload);
      client.publish(name, bytes, { qos, retain }, (error) => {
        if (error === undefined || error === null) resolve();
        else reject(outside(`a value cannot be published on ${target.shown}`, error));
      });
      try {
        await promise;
      } finally {
        timer.cancel();
        fail = undefined;
      }
    },
    end: async () => {
      await link?.close(clock);
    },
  });
}

function late(shown: string, timeoutMs: number): MillraceError {
  return new MillraceError(
    'MR_TIMEOUT',
    `the broker ${shown} has not acknowledged a value within ${timeoutMs} ms; look whether it runs, or raise timeout`,
    { domain: 'external', retryable: true, details: { url: shown, timeoutMs } },
  );
}
