/**
 * Topics as users hold them.
 *
 * @module
 */
import type { Codec } from '../codec/codec.ts';
import type { Schema, Validate } from '../codec/schema.ts';
import type { Duration } from '../core/duration.ts';
import { MillraceError } from '../core/errors.ts';
import { validName } from '../core/names.ts';
import type { EventCell } from '../core/event.ts';
import { isTaskScope } from '../runtime/scope.ts';
import type { StreamEvent } from '../runtime/agent-stream.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { GraphNode, NodeSource } from '../stream/node.ts';
import type { Accepts, Receive, Scope, SinkPort } from '../stream/operator.ts';
import type { ThroughPort } from '../stream/operators/through.ts';
import { sourceNode } from '../stream/graph.ts';
import { nodeOf, templateStream } from '../stream/stream.ts';
import type { Stream } from '../stream/stream.ts';
import type { SendOptions } from './batch.ts';
import type { Host } from './host.ts';
import { checkProducer, TopicProducer } from './producer.ts';
import type { ProducerOptions } from './producer.ts';
import { readRecords } from './records.ts';
import { Sender } from './sender.ts';
import type { RecordMetadata } from './sender.ts';

/** How a topic is declared. */
export interface TopicOptions<K, V, In, KIn = K> {
  /**
   * Schema or codec of keys. Without it keys are strings, or missing. A schema is asked about each key that is sent; one that refuses `null` makes
   * records without a key an error (`MR_KEY_MISSING`).
   */
  readonly key?: Schema<K, KIn> | Codec<K> | undefined;
  /** Schema or codec of values. Without it values are `unknown`. */
  readonly value?: Schema<V, In> | Codec<V> | undefined;
  /** How values become bytes. Default: the app's codec, JSON. */
  readonly codec?: Codec<unknown> | undefined;
  /** How keys become bytes. Default: canonical key bytes, which are plain UTF-8 for strings. */
  readonly keyCodec?: Codec<unknown> | undefined;
  /** 1 to 1,024, fixed when the topic is first used. Default 4. */
  readonly partitions?: number | undefined;
  /** Event time of a value, integer milliseconds since 1970. Default: when it is sent. */
  readonly timestamp?: ((value: V) => number) | undefined;
  /** When values and keys are checked against their schemas. Default `'both'`. */
  readonly validate?: Validate | undefined;
  /**
   * Records that were received longer ago may be deleted, read or not: at least 1 s, or `'forever'`. An app that has not read them by then finds
   * `MR_OFFSET_LOST`. Default: `'forever'`; where none of `retention`, `retentionBytes` and `compact` is given, what was declared before.
   */
  readonly retention?: Duration | 'forever' | undefined;
  /** The oldest records of a partition may be deleted while it holds more than this, at least 1 MiB. Default: no limit, or as for `retention`. */
  readonly retentionBytes?: number | undefined;
  /** Of the records with one key only the last is kept; {@link Topic.delete} deletes a key. Default: false, or as for `retention`. */
  readonly compact?: boolean | undefined;
}

/** Keyed topics demand a key; others allow one. */
export type SendArgs<K, In> = null extends K
  ? [value: In, options?: SendOptions & { readonly key?: K | undefined }]
  : [value: In, options: SendOptions & { readonly key: K }];

/**
 * A durable, partitioned log of records, shared by all apps on its broker. Made by `app.topic`.
 *
 * `K` is the key, `V` what readers get (the schema's output), `In` what senders give (the schema's input); stored is the encoded input.
 */
export class Topic<K, out V, in In = V> implements Accepts<In>, SinkPort, ThroughPort {
  declare readonly '~accepts': (value: In) => void;
  readonly name: string;
  /** @internal */
  readonly '~format': TopicFormat;
  readonly #host: Host;
  readonly #sender: Sender;

  /** @internal Use `app.topic`. */
  constructor(format: TopicFormat, host: Host) {
    this.name = validName('topic', format.topic);
    this['~format'] = format;
    this.#host = host;
    this.#sender = new Sender(
      format,
      () => host.clock,
      () => host.ensureTopic(format),
    );
  }

  /**
   * The topic as a stream to declare operators on. It is a template: each task of the app runs a copy of its own, from the first record on.
   * Each call begins a graph of its own. While the app runs nothing can be declared on it any more; it can be iterated.
   */
  stream(): Stream<V, K> {
    const format = this['~format'];
    const sealed = this.#host.sealed(format);
    const source: NodeSource = {
      kind: 'topic',
      name: this.name,
      iterate: (options) => this.#host.iterate(format, options),
      sealed,
    };
    const node = sourceNode('topic', source);
    if (sealed === undefined) this.#host.addSource(node, format);
    return templateStream<V, K>(node);
  }

  /**
   * Sends a record. Resolves when it is durable; inside processing, when it has been added to the task's commit (offset -1).
   *
   * @throws `MR_SCHEMA_VIOLATION`, `MR_ENCODE_FAILED`, `MR_KEY_INVALID`, `MR_KEY_MISSING`, `MR_TIMESTAMP_INVALID`, `MR_RECORD_TOO_LARGE` for a record that
   * cannot be sent; `MR_DISK_FULL` (retryable), `MR_IO`, `MR_OVERFLOW` (retryable); inside processing `MR_SEND_OUTSIDE`
   * when the event is finished, `MR_ABORTED` when the task has ended.
   */
  send(...args: SendArgs<K, In>): Promise<RecordMetadata> {
    const [value, options] = args as readonly [
      In,
      (SendOptions & { readonly key?: K }) | undefined,
    ];
    const cell = this.#host.processing.find();
    if (cell === undefined) return this.#sender.send(value, options?.key, options);
    return new Promise((resolve) => {
      cell.send(cell.event, this.name, value, { ...options });
      resolve({
        topic: this.name,
        partition: options?.partition ?? -1,
        offset: -1n,
        timestamp: options?.timestamp ?? -1,
      });
    });
  }

  /** @internal {@link Topic.send} as from outside processing, wherever it is called: durable when it resolves, and no part of any commit. */
  '~sendApart'(
    value: In,
    options: SendOptions & { readonly key?: unknown },
  ): Promise<RecordMetadata> {
    return this.#sender.send(value, options.key, options);
  }

  /**
   * Deletes a key of a topic with `compact`: sends a record without a value, which readers get as `null` until it is cleared away itself.
   *
   * @throws `MR_ARGUMENT_INVALID` for a topic that is not compacted; as {@link Topic.send}.
   */
  delete(key: NonNullable<K>, options: SendOptions = {}): Promise<RecordMetadata> {
    if (this['~format'].tombstones !== true)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `a key of topic ${this.name} cannot be deleted, since the topic is not compacted; declare it with compact: true`,
        { details: { topic: this.name } },
      );
    const timestamp = options.timestamp ?? this.#host.clock.now();
    return this.send(...([null, { ...options, timestamp, key }] as unknown as SendArgs<K, In>));
  }

  /** Opens a producer that continues where the last one with its id stopped. */
  async producer<P = unknown>(options: ProducerOptions): Promise<TopicProducer<K, In, P>> {
    checkProducer(this.name, options);
    const format = this['~format'];
    const broker = await this.#host.ensureTopic(format);
    return TopicProducer.open<K, In, P>(options, format, this.#host.clock, broker);
  }

  /**
   * Every record that is stored now, partition by partition, in order within each. For tests, tools and one-off programs: what processes
   * continuously is a stream or an agent.
   *
   * @throws `MR_DECODE_FAILED`, `MR_SCHEMA_VIOLATION` at a record that cannot be read; `MR_CORRUPT`.
   */
  async *records(): AsyncIterableIterator<StreamEvent<V, K>> {
    const format = this['~format'];
    yield* readRecords<V, K>(await this.#host.ensureTopic(format), format);
  }

  /** Returns `value` as it is: gives a literal its context, as in `yield alerts.of({ kind: 'late' })`. */
  of<X extends In>(value: X): X {
    return value;
  }

  /** @internal Resolves when every record sent from outside processing has been stored or refused. */
  '~settled'(): Promise<void> {
    return this.#sender.settled();
  }

  /** A source for what follows `from.through(topic)`. Not for programs. @throws `MR_NOT_IN_AN_APP` for a stream of another app. */
  '~through'(from: GraphNode): GraphNode {
    const foreign = this.#host.foreignSource(from);
    if (foreign !== undefined)
      throw new MillraceError(
        'MR_NOT_IN_AN_APP',
        `through(${this.name}) on a stream of ${foreign.kind} ${foreign.name ?? ''}, which belongs to another app than topic ${this.name}; declare the topic in that app too, and go through that one`,
        { details: { topic: this.name, source: foreign.name ?? foreign.kind } },
      );
    const sealed = this.#host.sealed(this['~format']);
    if (sealed !== undefined)
      throw new MillraceError('MR_ARGUMENT_INVALID', sealed, { details: { topic: this.name } });
    return nodeOf(this.stream());
  }

  /** How it takes part in a graph. Not for programs. */
  '~sink'(scope: Scope): Receive {
    const format = this['~format'];
    if (isTaskScope(scope)) {
      if (scope.processing !== this.#host.processing) throw ofAnotherApp(this.name, scope.task);
      return (value: unknown, event: EventCell | null) => scope.send(format, value, event);
    }
    return async (value, event) => {
      await this.#sender.send(value, event?.key?.key, undefined);
    };
  }
}

/** The commit of a task is on the broker of its own app, where another one's declarations count for nothing. */
function ofAnotherApp(topic: string, task: string): MillraceError {
  return new MillraceError(
    'MR_NOT_IN_AN_APP',
    `task ${task} sends to topic ${topic}, which was declared by another app; declare the topic in this app too, and send to that one`,
    { details: { topic, task } },
  );
}
