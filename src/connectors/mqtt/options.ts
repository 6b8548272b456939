/**
 * Options of source and sink. Apart from `library.ts`: the types of this package are there without `mqtt`.
 *
 * @module
 */
import type { Duration } from '../../core/duration.ts';

/** How sure a message is to arrive: 0 at most once, 1 at least once, 2 exactly once between client and broker. */
export type Qos = 0 | 1 | 2;

/** How source and sink connect. */
export interface MqttConnectOptions {
  /** Default: what the URL says. */
  readonly username?: string | undefined;
  /** Default: what the URL says. Never in texts of errors. */
  readonly password?: string | undefined;
  /** What the broker knows this client by; two with the same id throw each other out. Default: a random one. */
  readonly clientId?: string | undefined;
  /** How often, in seconds, to ask whether the broker is there, 1 to 65,535. Default 60. */
  readonly keepAliveSeconds?: number | undefined;
  /**
   * How often in a row it may fail to connect, 0 to 1,000; each attempt comes `reconnectAfter` after the last. 0: the first failure, and the loss
   * of the connection, is final. Default 10.
   */
  readonly reconnects?: number | undefined;
  /** Default 1 s, at least 1 ms. */
  readonly reconnectAfter?: Duration | undefined;
}

/** {@link MqttConnectOptions}, for `checkOptions`. */
export const mqttConnectOptions: Readonly<Record<keyof MqttConnectOptions, true>> = {
  username: true,
  password: true,
  clientId: true,
  keepAliveSeconds: true,
  reconnects: true,
  reconnectAfter: true,
};
