/**
 * The brokers of a cluster: connections, who leads a partition, who coordinates a group or a transactional id, and calls that are tried again
 * while what stands in their way passes.
 *
 * A broker answers the requests of one connection in order, so what waits long has connections of its own: see {@link Lane}.
 *
 * @module
 */
import { isIP } from 'node:net';

import type { API, ConnectionOptions, ConnectionPool } from '@platformatic/kafka';

import { sleep } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import { kafkaError, passes, troubleOf } from './errors.ts';
import type { Trouble } from './errors.ts';
import type { KafkaLibrary } from './library.ts';
import { makeRequests } from './requests.ts';
import type { Requests } from './requests.ts';
import { readTlsFiles } from './url.ts';
import type { KafkaUrl } from './url.ts';

/**
 * Which connections a call uses: those for short questions, for what is written, for reading; and for what is answered late: of each member of a
 * group its own, since joining is answered when all others have joined, and some for waiting.
 */
export type Lane = 'calls' | 'writes' | 'reads' | `member ${string}` | `wait ${number}`;

/** Which broker a call goes to. */
export type Target =
  | { readonly kind: 'any' | 'controller' }
  | { readonly kind: 'leader'; readonly topic: string; readonly partition: number }
  | { readonly kind: 'coordinator'; readonly of: 'group' | 'transaction'; readonly key: string };

/** How a call is made. */
export interface CallOptions {
  /** What is tried, for errors: `'records cannot be appended'`. */
  readonly what: string;
  readonly details?: Readonly<Record<string, unknown>> | undefined;
  /** Default `'calls'`. */
  readonly lane?: Lane | undefined;
  /** How long passing trouble is waited for. Milliseconds. Default 30,000. */
  readonly retryForMs?: number | undefined;
  /** Longest wait between two attempts; the first is 5 ms, and each twice the one before. Milliseconds. Default 500. */
  readonly waitAtMostMs?: number | undefined;
  /** Whether this trouble may pass. Default: as for all calls. */
  readonly passes?: ((trouble: Trouble) => boolean) | undefined;
}

/** A topic as the brokers have it. */
export interface TopicPlace {
  readonly id: string;
  /** Leader of each partition, −1 for none. */
  readonly leaders: readonly number[];
}

const RETRY_FIRST_MS = 5;
const RETRY_LAST_MS = 500;
const RETRY_FOR_MS = 30_000;
const CONNECT_MS = 5_000;
const REQUEST_MS = 40_000;
/** A producer keeps its order with so many requests under way. */
const MAX_IN_FLIGHT = 5;
const KEY_TYPE = { group: 0, transaction: 1 } as const;

interface Node {
  readonly host: string;
  readonly port: number;
}

/** An open cluster. */
export class Cluster {
  readonly library: KafkaLibrary;
  readonly requests: Requests;
  readonly clock: Clock;
  readonly shown: string;
  readonly #bootstrap: readonly Node[];
  readonly #options: ConnectionOptions;
  readonly #clientId: string;
  readonly #pools = new Map<Lane, ConnectionPool>();
  readonly #closing = new AbortController();
  readonly #topics = new Map<string, TopicPlace>();
  readonly #coordinators = new Map<string, Node>();
  #nodes = new Map<number, Node>();
  #controller = -1;
  /** Grows with every failure: another broker is asked next time. */
  #turn = 0;

  private constructor(
    library: KafkaLibrary,
    url: KafkaUrl,
    connection: ConnectionOptions,
    clientId: string,
    clock: Clock,
  ) {
    this.library = library;
    this.requests = makeRequests(library);
    this.clock = clock;
    this.shown = url.shown;
    this.#bootstrap = url.hosts;
    this.#options = connection;
    this.#clientId = clientId;
  }

  /**
   * Connects, and finds out who is there.
   *
   * @throws `MR_PERMISSION` for a log-in or certificate that is refused, `MR_IO` (retryable) when nobody answers, `MR_VERSION_UNSUPPORTED`.
   */
  static async open(
    library: KafkaLibrary,
    url: KafkaUrl,
    options: {
      readonly clock: Clock;
      readonly clientId?: string | undefined;
      /** How long to wait for brokers that do not answer. Milliseconds. Default 30,000. */
      readonly retryForMs?: number | undefined;
    },
  ): Promise<Cluster> {
    const tls = url.tls === undefined ? undefined : await readTlsFiles(url.tls);
    const { login } = url;
    const connection: ConnectionOptions = {
      connectTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      maxInflights: MAX_IN_FLIGHT,
      ...(tls === undefined
        ? {}
        : { tls, tlsServerName: url.hosts.some(({ host }) => isIP(host) === 0) }),
      ...(login === undefined
        ? {}
        : {
            sasl: {
              mechanism: login.mechanism.toUpperCase() as 'PLAIN',
              ...(login.mechanism === 'oauthbearer'
                ? { token: login.password }
                : { username: login.user, password: login.password }),
            },
          }),
    };
    const { clock, clientId = 'millrace', retryForMs } = options;
    const cluster = new Cluster(library, url, connection, clientId, clock);
    try {
      await cluster.#metadata([], { what: `${url.shown} cannot be opened`, retryForMs });
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** Calls until it succeeds, fails for good, or its time is over. @throws what {@link kafkaError} makes of it; `MR_CLOSED`. */
  async call<A extends unknown[], R>(
    target: Target,
    api: API<A, R>,
    args: A,
    options: CallOptions,
  ): Promise<R> {
    return await this.retry(
      options,
      async () => await this.attempt(target, api, args, options.lane),
    );
  }

  /** Calls once. @throws what the library throws. */
  async attempt<A extends unknown[], R>(
    target: Target,
    api: API<A, R>,
    args: A,
    lane: Lane = 'calls',
  ): Promise<R> {
    const node = await this.#find(target);
    try {
      const connection = await this.#connect(node, lane);
      return await api.async(connection, ...args);
    } catch (error) {
      this.#forget(target);
      throw error;
    }
  }

  /** The same, but throws in the end what the library throws. */
  async callRaw<A extends unknown[], R>(
    target: Target,
    api: API<A, R>,
    args: A,
    options: CallOptions,
  ): Promise<R> {
    return await this.#retryRaw(
      options,
      async () => await this.attempt(target, api, args, options.lane),
    );
  }

  /** Does something again while what stands in its way passes. @throws what {@link kafkaError} makes of it; `MR_CLOSED`. */
  async retry<R>(options: CallOptions, attempt: () => Promise<R>): Promise<R> {
    try {
      return await this.#retryRaw(options, attempt);
    } catch (error) {
      throw kafkaError(error, options.what, options.details);
    }
  }

  async #retryRaw<R>(options: CallOptions, attempt: () => Promise<R>): Promise<R> {
    const { retryForMs = RETRY_FOR_MS, waitAtMostMs = RETRY_LAST_MS } = options;
    const untilMs = this.clock.monotonic() + retryForMs;
    for (let waitMs = RETRY_FIRST_MS; ; waitMs = Math.min(waitMs * 2, waitAtMostMs)) {
      this.assertOpen();
      try {
        return await attempt();
      } catch (error) {
        if (this.#closing.signal.aborted) throw this.closed();
        const may = (options.passes ?? passes)(troubleOf(error));
        if (!may || this.clock.monotonic() + waitMs > untilMs) throw error;
        await this.#wait(waitMs);
      }
    }
  }

  /** A topic as the brokers have it now, or as they had it last. `undefined`: there is none. */
  async topic(name: string, fresh = false): Promise<TopicPlace | undefined> {
    const known = this.#topics.get(name);
    if (known !== undefined && !fresh) return known;
    try {
      await this.#metadata([name]);
    } catch (error) {
      if (MillraceError.is(error) && error.code === 'MR_UNKNOWN_TOPIC') {
        this.#topics.delete(name);
        return undefined;
      }
      throw error;
    }
    return this.#topics.get(name);
  }

  /** What is known of a topic, without asking. */
  known(name: string): TopicPlace | undefined {
    return this.#topics.get(name);
  }

  /** Who leads a partition; asks when it is not known. */
  async leader(topic: string, partition: number): Promise<number> {
    const known = this.#topics.get(topic)?.leaders[partition] ?? -1;
    if (known >= 0) return known;
    await this.#metadata([topic]);
    return this.#topics.get(topic)?.leaders[partition] ?? -1;
  }

  /** Forgets what is known of a topic: it is gone, or its leaders have moved. */
  forgetTopic(name: string): void {
    this.#topics.delete(name);
  }

  /** Names of all topics but Kafka's own. */
  async names(): Promise<string[]> {
    const all = await this.call(
      { kind: 'any' },
      this.library.metadataV12.api,
      [null, false, false],
      { what: `the topics of ${this.shown} cannot be listed` },
    );
    return all.topics.flatMap(({ name, isInternal }) =>
      typeof name === 'string' && !isInternal ? [name] : [],
    );
  }

  /** @throws `MR_CLOSED`. */
  assertOpen(): void {
    if (this.#closing.signal.aborted) throw this.closed();
  }

  /** Closes the connections of one lane. */
  async closeLane(lane: Lane): Promise<void> {
    const pool = this.#pools.get(lane);
    this.#pools.delete(lane);
    await pool?.close().catch(() => undefined);
  }

  /** Breaks all connections, as brokers and networks do: calls under way are tried again, over new ones. */
  async disconnect(): Promise<void> {
    const pools = [...this.#pools.values()];
    this.#pools.clear();
    await Promise.all(pools.map((pool) => pool.close().catch(() => undefined)));
  }

  /** Closes all connections; calls under way fail with `MR_CLOSED`. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.disconnect();
  }

  async #wait(ms: number): Promise<void> {
    try {
      await sleep(this.clock, ms, this.#closing.signal);
    } catch {
      throw this.closed();
    }
  }

  async #find(target: Target): Promise<Node> {
    switch (target.kind) {
      case 'controller':
        return this.#nodes.get(this.#controller) ?? this.#anyNode();
      case 'leader':
        return await this.#need(await this.leader(target.topic, target.partition));
      case 'coordinator':
        return await this.#coordinator(target.of, target.key);
      case 'any':
      default:
        return this.#anyNode();
    }
  }

  /** Whom a call that anybody can answer goes to: another one when the last could not be reached. */
  #anyNode(): Node {
    const nodes = [...this.#nodes.values(), ...this.#bootstrap];
    return nodes[this.#turn % nodes.length] as Node;
  }

  async #need(id: number): Promise<Node> {
    if (!this.#nodes.has(id)) await this.#metadata([]);
    const node = this.#nodes.get(id);
    if (node !== undefined) return node;
    throw new this.library.NetworkError(`broker ${id} is not there`);
  }

  async #coordinator(of: 'group' | 'transaction', key: string): Promise<Node> {
    const name = `${of} ${key}`;
    const known = this.#coordinators.get(name);
    if (known !== undefined) return known;
    const connection = await this.#connect(this.#anyNode(), 'calls');
    const found = await this.library.findCoordinatorV4.api.async(connection, KEY_TYPE[of], [key]);
    const place = found.coordinators[0];
    if (place === undefined) throw new this.library.NetworkError(`nobody coordinates ${name}`);
    const node = { host: place.host, port: place.port };
    this.#coordinators.set(name, node);
    return node;
  }

  /** After a failure: the next attempt asks anew who is in charge. */
  #forget(target: Target): void {
    this.#turn++;
    if (target.kind === 'leader') this.#topics.delete(target.topic);
    else if (target.kind === 'coordinator') this.#coordinators.delete(`${target.of} ${target.key}`);
  }

  async #metadata(
    topics: readonly string[],
    options: CallOptions = {
      what: `topic ${topics.join(', ')} of ${this.shown} cannot be looked up`,
      details: { topic: topics[0] },
    },
  ): Promise<void> {
    await this.retry(
      {
        ...options,
        passes: (trouble) =>
          passes(trouble) && !trouble.reported.includes('UNKNOWN_TOPIC_OR_PARTITION'),
      },
      async () => {
        try {
          const connection = await this.#connect(this.#anyNode(), 'calls');
          const found = await this.library.metadataV12.api.async(
            connection,
            [...topics],
            false,
            false,
          );
          this.#nodes = new Map(
            found.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]),
          );
          this.#controller = found.controllerId;
          for (const { name, topicId, partitions } of found.topics) {
            if (typeof name !== 'string') continue;
            const leaders: number[] = [];
            for (const { partitionIndex, leaderId } of partitions)
              leaders[partitionIndex] = leaderId;
            this.#topics.set(name, { id: topicId, leaders });
          }
        } catch (error) {
          this.#forget({ kind: 'any' });
          throw error;
        }
      },
    );
  }

  async #connect(node: Node, lane: Lane): Promise<Parameters<API<[], void>['async']>[0]> {
    let pool = this.#pools.get(lane);
    if (pool === undefined) {
      pool = new this.library.ConnectionPool(this.#clientId, this.#options);
      // Whoever waits for an answer hears of a failure; beside that it would be nobody's, and end the process.
      pool.on('connecting', ({ connection }) => connection.on('error', () => {}));
      this.#pools.set(lane, pool);
    }
    return await pool.get(node);
  }

  /** The error of a call after {@link Cluster.close}. */
  closed(): MillraceError {
    return new MillraceError('MR_CLOSED', `the broker ${this.shown} is closed; open it again`);
  }
}
