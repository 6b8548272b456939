/**
 * @module
 */
import type { IPublishPacket, MqttClient } from 'mqtt';

import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkOptions, checkWhole } from '../../core/given.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside } from '../failure.ts';
import { connectorOptions, textOf } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { aborted, sourceOf } from '../source.ts';
import { Tasks } from '../tasks.ts';
import { MqttLink, targetOf } from './library.ts';
import { mqttConnectOptions } from './options.ts';
import type { MqttConnectOptions, Qos } from './options.ts';

/** One message. */
export interface MqttMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  /** Whether it was there before this client subscribed: the broker keeps the last of a topic. */
  readonly retain: boolean;
}

/** What {@link mqttSource} takes. */
export interface MqttSourceOptions extends ConnectorOptions, MqttConnectOptions {
  /** How sure messages are to arrive, see {@link Qos}. Default 1. */
  readonly qos?: Qos | undefined;
  /**
   * Whether the broker shall forget this client when it leaves. When false, it keeps messages of QoS 1 and 2 for it, which needs a `clientId`.
   * Default true.
   */
  readonly clean?: boolean | undefined;
  /** How many messages of QoS 0 may be under way at once, 1 to 10,000. Others are taken one at a time. Default 100. */
  readonly capacity?: number | undefined;
}

/**
 * The messages of topics of an MQTT broker; `topics` may have the wildcards `+` and `#`. Needs the package `mqtt`.
 *
 * - *Order*: as the broker sends them.
 * - *Back-pressure*: while a message of QoS 1 or 2, or `capacity` of QoS 0, are under way, nothing more is read from the broker. It is told that
 *   the client lives.
 * - *State*: the messages of one chunk (64 KiB), or one message.
 * - *Delivery*: a message of QoS 1 or 2 is acknowledged when it has been dealt with. One that was not comes again when the same client connects, if
 *   `clean` is false: at least once. QoS 0, and all with `clean`: at most once, what comes while there is no connection is not seen.
 *
 * When a value fails, the stream fails, and the message is not acknowledged. It fails with `MR_PERMISSION` when the broker refuses the client or a
 * topic, with `MR_IO` when it has connected in vain for as often as `reconnects` says, and with `MR_DEPENDENCY_MISSING`.
 *
 * @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function mqttSource(
  url: string | URL,
  topics: string | readonly string[],
  options: MqttSourceOptions = {},
): Stream<MqttMessage> {
  checkOptions<MqttSourceOptions>('mqttSource', options, {
    ...connectorOptions,
    ...mqttConnectOptions,
    qos: true,
    clean: true,
    capacity: true,
  });
  const { qos = 1, clean = true, capacity = 100, clock = systemClock() } = options;
  const names = (Array.isArray(topics) ? (topics as readonly string[]) : [topics as string]).map(
    (topic) => textOf('topics of mqttSource', topic),
  );
  if (names.length === 0) textOf('topics of mqttSource', undefined);
  checkWhole('qos', qos, 0, 2);
  checkWhole('capacity', capacity, 1, 10_000);
  if (!clean && options.clientId === undefined)
    throw new MillraceError(
      'MR_OPTION_INVALID',
      'mqttSource was given clean: false without a clientId; the broker would not know the client again, so give it one',
      { details: { option: 'clientId' } },
    );
  const target = targetOf('mqttSource', url, options);

  return sourceOf<MqttMessage>('mqttSource', options, async ({ emit, signal, opened }) => {
    const tasks = new Tasks();
    const link = await MqttLink.open(target, { clean }, (error) => tasks.fail(error));
    const { client } = link;
    let underWay = 0;
    let wake: (() => void) | undefined;
    const deal = async ({
      topic,
      payload,
      qos: messageQos,
      retain,
    }: IPublishPacket): Promise<void> => {
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
      const pending = emit({ topic, payload: bytes, qos: messageQos, retain });
      if (pending === undefined) return;
      if (messageQos > 0) {
        await pending;
        return;
      }
      underWay++;
      tasks.start(async () => {
        try {
          await pending;
        } finally {
          underWay--;
          wake?.();
        }
      });
      while (underWay >= capacity) await new Promise<void>((resolve) => (wake = resolve));
    };
    // One after the other also when a connection was lost and the next one brings more.
    let last: Promise<void> = Promise.resolve();
    client.handleMessage = (packet, next) => {
      tasks.start(async () => {
        const before = last;
        const { promise, resolve } = Promise.withResolvers<void>();
        last = promise;
        try {
          await before;
          // Not acknowledged: it comes again, or was not promised to.
          if (signal.aborted) return;
          const stopPinging = keepAlive(client, target.keepAliveMs, clock);
          try {
            await deal(packet);
          } finally {
            stopPinging();
          }
          next();
        } finally {
          resolve();
        }
      });
    };
    const subscribed = subscribe(client, names, qos, target.shown).then(opened);
    subscribed.catch((error: unknown) => tasks.fail(error));
    try {
      await Promise.race([aborted(signal), tasks.failure]);
    } finally {
      wake?.();
      await tasks.settled();
      await link.close(clock);
    }
  });
}

/** While a message is under way no answer of the broker is read: the client is not to take that for silence, nor the broker the other way round. */
function keepAlive(client: MqttClient, keepAliveMs: number, clock: Clock): () => void {
  const ping = (): void => {
    if (client.connected) {
      client.sendPing();
      client.reschedulePing(true);
    }
    timer = clock.setTimer(keepAliveMs / 2, ping, { unref: true });
  };
  let timer = clock.setTimer(keepAliveMs / 2, ping, { unref: true });
  return () => timer.cancel();
}

async function subscribe(
  client: MqttClient,
  topics: readonly string[],
  qos: Qos,
  shown: string,
): Promise<void> {
  const refused = (cause?: unknown): MillraceError =>
    new MillraceError(
      'MR_PERMISSION',
      `the broker ${shown} does not let this client subscribe to ${topics.join(', ')}; look at its rules and at the names`,
      { domain: 'external', cause, details: { url: shown, topics } },
    );
  let granted: readonly { readonly qos: number }[];
  try {
    granted = await client.subscribeAsync([...topics], { qos });
  } catch (error) {
    throw client.connected ? refused(error) : outside(`${shown} has ended the connection`, error);
  }
  if (granted.some((each) => each.qos > 2)) throw refused();
}
