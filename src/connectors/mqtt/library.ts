/**
 * The package behind MQTT, and what source and sink share.
 *
 * @module
 */
import type { IClientOptions, MqttClient } from 'mqtt';

import type { Clock } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkWhole } from '../../core/given.ts';
import { optionalPackage } from '../../core/optional-package.ts';
import { redactUrl } from '../../core/redact.ts';
import { outside } from '../failure.ts';
import { credentialsOf, textOf, urlOf } from '../options.ts';
import type { MqttConnectOptions } from './options.ts';

/** A broker, and how to connect to it, checked. */
export interface MqttTarget {
  /** For errors: without what may be secret. */
  readonly shown: string;
  readonly keepAliveMs: number;
  readonly reconnects: number;
  readonly options: IClientOptions;
}

const protocols = ['mqtt:', 'mqtts:', 'ws:', 'wss:'];
/** How long the broker may take to answer that the client leaves, in milliseconds. */
const CLOSE_MS = 5_000;
/** Bad user name or password, not authorized: of MQTT 3 and 5. */
const FORBIDDEN: ReadonlySet<unknown> = new Set([4, 5, 134, 135]);

/** @throws {@link MillraceError} `MR_URL_INVALID`, `MR_OPTION_INVALID` */
export function targetOf(
  what: string,
  given: string | URL,
  options: MqttConnectOptions,
): MqttTarget {
  const url = urlOf(what, given, protocols);
  const { keepAliveSeconds = 60, reconnects = 10, clientId } = options;
  checkWhole('keepAliveSeconds', keepAliveSeconds, 1, 65_535);
  checkWhole('reconnects', reconnects, 0, 1_000);
  if (clientId !== undefined) textOf(`clientId of ${what}`, clientId);
  const periodMs = durationMs(options.reconnectAfter ?? '1s', 'reconnectAfter', 1);
  // With brackets an address of IPv6 is not one to resolve.
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const inUrl = credentialsOf(url);
  const { username = inUrl.username, password = inUrl.password } = options;
  return {
    shown: redactUrl(url.href),
    keepAliveMs: keepAliveSeconds * 1_000,
    reconnects,
    options: {
      protocol: url.protocol.slice(0, -1) as NonNullable<IClientOptions['protocol']>,
      host,
      hostname: host,
      path: url.pathname + url.search,
      keepalive: keepAliveSeconds,
      reconnectPeriod: reconnects === 0 ? 0 : periodMs,
      ...(url.port === '' ? {} : { port: Number(url.port) }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(clientId === undefined ? {} : { clientId }),
    },
  };
}

/** A client that connects again by itself, until it gives up. */
export class MqttLink {
  readonly client: MqttClient;
  readonly #shown: string;
  readonly #reconnects: number;
  readonly #onBroken: (error: MillraceError) => void;
  #ended = false;
  #failed = 0;
  #last: unknown;

  private constructor(
    client: MqttClient,
    { shown, reconnects }: MqttTarget,
    onBroken: (error: MillraceError) => void,
  ) {
    this.client = client;
    this.#shown = shown;
    this.#reconnects = reconnects;
    this.#onBroken = onBroken;
    client.on('connect', () => {
      this.#failed = 0;
      this.#last = undefined;
    });
    client.on('error', (error) => {
      this.#last = error;
      // The broker refuses this client, and would again.
      if ('code' in error && typeof error.code === 'number') this.#break();
    });
    client.on('close', () => {
      this.#failed++;
      if (this.#failed > this.#reconnects) this.#break();
    });
  }

  /**
   * @param onBroken It has given up: called once.
   * @throws {@link MillraceError} `MR_DEPENDENCY_MISSING`
   */
  static async open(
    target: MqttTarget,
    options: IClientOptions,
    onBroken: (error: MillraceError) => void,
  ): Promise<MqttLink> {
    const { connect } = await optionalPackage(
      'mqtt',
      'MQTT needs',
      async () => await import('mqtt'),
    );
    return new MqttLink(connect({ ...target.options, ...options }), target, onBroken);
  }

  /** Takes leave of the broker, or goes without when there is no answer. Idempotent. */
  async close(clock: Clock): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const { client } = this;
    const timer = clock.setTimer(CLOSE_MS, () => client.end(true), { unref: true });
    try {
      await client.endAsync(!client.connected);
    } finally {
      timer.cancel();
    }
  }

  /** Lets go at once of the connection and of all that is under way. */
  drop(): void {
    this.#ended = true;
    this.client.end(true);
  }

  #break(): void {
    if (this.#ended) return;
    this.drop();
    const code: unknown = this.#last instanceof Error && 'code' in this.#last ? this.#last.code : 0;
    const details = { url: this.#shown, reasonCode: code };
    this.#onBroken(
      FORBIDDEN.has(code)
        ? new MillraceError(
            'MR_PERMISSION',
            `the broker ${this.#shown} refuses this client; look at username, password and clientId`,
            { domain: 'external', cause: this.#last, details },
          )
        : outside(
            `the broker ${this.#shown} cannot be reached, or has ended the connection; look whether it runs and whether another client has the same clientId`,
            this.#last ?? new Error('the connection was closed'),
            details,
          ),
    );
  }
}
