/**
 * What members of a group say to one another through the coordinator, in the form of Kafka's own consumers, so that its tools show who reads what.
 *
 * ```
 * subscription: i16 version = 0, array of topics, bytes          assignment: i16 version = 0, array of { topic, array of i32 }, bytes
 * array: i32 count, entries     text: i16 length, UTF-8           bytes: i32 length (−1: none), bytes          all big-endian
 * ```
 *
 * The bytes at the end are ours: whatever members and their leader have to say beside topics and partitions.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';

/** What a member joins with. */
export interface Subscription {
  /** Topics that the group reads; brokers keep its offsets for as long as it is subscribed. */
  readonly topics: readonly string[];
  readonly data: Uint8Array;
}

/** What a member is told by the leader. */
export interface Assigned {
  /** For the tools of Kafka. */
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
  readonly data: Uint8Array;
}

export function encodeSubscription({ topics, data }: Subscription): Buffer {
  return Buffer.concat([int16(0), int32(topics.length), ...topics.map(text), bytes(data)]);
}

/** @throws `MR_CORRUPT` for what no member of ours has sent. */
export function decodeSubscription(buffer: Uint8Array): Subscription {
  const read = new Fields(buffer, 'what a member of the group says of itself');
  read.int16();
  const topics = read.array(() => read.text());
  return { topics, data: read.bytes() };
}

export function encodeAssigned({ partitions, data }: Assigned): Buffer {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const there = topics.get(topic);
    if (there === undefined) topics.set(topic, [partition]);
    else there.push(partition);
  }
  const parts = [int16(0), int32(topics.size)];
  for (const [topic, numbers] of topics)
    parts.push(text(topic), int32(numbers.length), ...numbers.map(int32));
  return Buffer.concat([...parts, bytes(data)]);
}

/** @throws `MR_CORRUPT`. */
export function decodeAssigned(buffer: Uint8Array): Assigned {
  // A member that the leader did not know of gets nothing.
  if (buffer.length === 0) return { partitions: [], data: new Uint8Array(0) };
  const read = new Fields(buffer, 'what the leader of the group says');
  read.int16();
  const partitions = read
    .array(() => {
      const topic = read.text();
      return read.array(() => ({ topic, partition: read.int32() }));
    })
    .flat();
  return { partitions, data: read.bytes() };
}

function int16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function text(value: string): Buffer {
  const utf8 = Buffer.from(value);
  return Buffer.concat([int16(utf8.length), utf8]);
}

function bytes(value: Uint8Array): Buffer {
  return Buffer.concat([int32(value.length), value]);
}

class Fields {
  readonly #buffer: Buffer;
  readonly #what: string;
  #at = 0;

  constructor(buffer: Uint8Array, what: string) {
    this.#buffer = Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.#what = what;
  }

  int16(): number {
    return this.#take(2).readInt16BE();
  }

  int32(): number {
    return this.#take(4).readInt32BE();
  }

  text(): string {
    return this.#take(this.int16()).toString('utf8');
  }

  /** None counts as empty. */
  bytes(): Buffer {
    const length = this.int32();
    return length === -1 ? Buffer.alloc(0) : this.#take(length);
  }

  array<T>(entry: () => T): T[] {
    const count = this.int32();
    // Each entry has two bytes at least.
    if (count < 0 || count * 2 > this.#buffer.length - this.#at) throw this.#corrupt();
    return Array.from({ length: count }, entry);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (length < 0 || end > this.#buffer.length) throw this.#corrupt();
    const taken = this.#buffer.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #corrupt(): MillraceError {
    return new MillraceError(
      'MR_CORRUPT',
      `${this.#what} has lengths that do not fit; only members of millrace may join the group`,
      { domain: 'external' },
    );
  }
}
