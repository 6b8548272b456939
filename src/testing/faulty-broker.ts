/**
 * A broker that fails when a plan says so, around any other broker.
 *
 * @module
 */
import type {
  Broker,
  BrokerCapabilities,
  GroupChange,
  GroupInfo,
  JoinOptions,
  MaintainOptions,
  Maintained,
  Membership,
  Outgoing,
  OwnedTask,
  PartitionBounds,
  PartitionReader,
  Placed,
  ProducerAppend,
  ProducerState,
  TaskCommit,
  TopicSpec,
} from '../broker/broker.ts';
import type { Clock } from '../core/clock.ts';
import { sleep } from '../core/clock.ts';
import type { Kv } from '../kv/kv.ts';
import { FaultLine } from './faults.ts';
import type { Fault, FaultPlan, FaultyCall } from './faults.ts';

/** Calls of a broker, of its memberships (`tend`, `release`, `commit`, `leave`) and its readers (`read`). */
export type BrokerCallName =
  | 'createTopic'
  | 'describeTopic'
  | 'topics'
  | 'bounds'
  | 'truncate'
  | 'maintain'
  | 'append'
  | 'openProducer'
  | 'read'
  | 'changed'
  | 'join'
  | 'describeGroup'
  | 'groups'
  | 'ask'
  | 'tend'
  | 'release'
  | 'commit'
  | 'leave';

/** A call to a broker. */
export interface BrokerCall extends FaultyCall<BrokerCallName> {
  /** The topic that is read or described. */
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  /** The task that is committed or asked. */
  readonly task?: string | undefined;
  /** The topics that an append or a commit writes to, in its order. */
  readonly outputs?: readonly string[] | undefined;
}

/** What {@link faultyBroker} needs besides. */
export interface FaultyBrokerOptions<F extends Fault = Fault> {
  /** Needed by faults with a delay, and by deaf ones. */
  readonly clock?: Clock | undefined;
  /** Told of a fault at the moment in which it fails a call. */
  readonly failing?: ((fault: F) => void) | undefined;
}

type Faults = FaultLine<BrokerCall, Fault>;

/**
 * `broker` with the failures of `plan`. With one that plans nothing it is the broker that it was given. `changes()`, `state` and `close()` never
 * fail; for a state that does, open the broker over a `faultyKv`.
 *
 * - *Order*: that of `broker`; a call with a delay falls behind those that come meanwhile.
 * - *State*: how many calls of each name there were.
 * - *Delivery*: that of `broker`, or as the plan makes it. What a `tend` that fails `'after'` has changed is told of by the next one.
 */
export function faultyBroker<F extends Fault = Fault>(
  broker: Broker,
  plan: FaultPlan<BrokerCall, F>,
  options: FaultyBrokerOptions<F> = {},
): Broker {
  const faults = new FaultLine<BrokerCall, F>(plan, options.clock, options.failing);
  return new FaultyBroker(broker, faults as unknown as Faults, options.clock);
}

class FaultyBroker implements Broker {
  readonly url: string;
  readonly capabilities: BrokerCapabilities;
  readonly state: Kv;
  readonly #broker: Broker;
  readonly #faults: Faults;
  readonly #clock: Clock | undefined;

  constructor(broker: Broker, faults: Faults, clock: Clock | undefined) {
    this.#broker = broker;
    this.#faults = faults;
    this.#clock = clock;
    this.url = broker.url;
    this.capabilities = broker.capabilities;
    this.state = broker.state;
  }

  createTopic(spec: TopicSpec): Promise<void> {
    return this.#faults.run({ call: 'createTopic', topic: spec.name }, () =>
      this.#broker.createTopic(spec),
    );
  }

  describeTopic(name: string): Promise<TopicSpec | undefined> {
    return this.#faults.run({ call: 'describeTopic', topic: name }, () =>
      this.#broker.describeTopic(name),
    );
  }

  topics(): Promise<readonly TopicSpec[]> {
    return this.#faults.run({ call: 'topics' }, () => this.#broker.topics());
  }

  storedBytes(topic: string, partition: number): Promise<number> {
    return this.#faults.run({ call: 'bounds', topic, partition }, () =>
      this.#broker.storedBytes(topic, partition),
    );
  }

  bounds(topic: string, partition: number): Promise<PartitionBounds> {
    return this.#faults.run({ call: 'bounds', topic, partition }, () =>
      this.#broker.bounds(topic, partition),
    );
  }

  truncate(topic: string, partition: number, before: number): Promise<number> {
    return this.#faults.run({ call: 'truncate', topic, partition }, () =>
      this.#broker.truncate(topic, partition, before),
    );
  }

  maintain(options?: MaintainOptions): Promise<Maintained> {
    return this.#faults.run({ call: 'maintain' }, () => this.#broker.maintain(options));
  }

  append(
    frames: readonly Outgoing[],
    producer?: ProducerAppend,
  ): Promise<readonly Placed[] | undefined> {
    return this.#faults.run({ call: 'append', outputs: topicsOf(frames) }, () =>
      this.#broker.append(frames, producer),
    );
  }

  openProducer(id: string): Promise<ProducerState> {
    return this.#faults.run({ call: 'openProducer' }, () => this.#broker.openProducer(id));
  }

  reader(topic: string, partition: number, from: number): PartitionReader {
    return new FaultyReader(this.#broker.reader(topic, partition, from), this.#faults, {
      topic,
      partition,
    });
  }

  changes(): number {
    return this.#broker.changes();
  }

  changed(since: number, timeoutMs: number, signal?: AbortSignal): Promise<void> {
    const call = { call: 'changed' } as const;
    const fault = this.#faults.ask(call);
    if (fault === undefined) return this.#broker.changed(since, timeoutMs, signal);
    const { deaf = false, ...rest } = fault;
    const clock = this.#clock;
    return this.#faults.suffer(call.call, rest, () =>
      deaf && clock !== undefined
        ? sleep(clock, timeoutMs, signal)
        : this.#broker.changed(since, timeoutMs, signal),
    );
  }

  async join(group: string, options: JoinOptions): Promise<Membership> {
    const membership = await this.#faults.run({ call: 'join' }, () =>
      this.#broker.join(group, options),
    );
    return new FaultyMembership(membership, this.#faults);
  }

  describeGroup(group: string): Promise<GroupInfo | undefined> {
    return this.#faults.run({ call: 'describeGroup' }, () => this.#broker.describeGroup(group));
  }

  groups(): Promise<readonly string[]> {
    return this.#faults.run({ call: 'groups' }, () => this.#broker.groups());
  }

  ask(
    group: string,
    task: string,
    question: Uint8Array,
    options?: Parameters<Broker['ask']>[3],
  ): Promise<Uint8Array> {
    return this.#faults.run({ call: 'ask', task }, () =>
      this.#broker.ask(group, task, question, options),
    );
  }

  close(): Promise<void> {
    this.#faults.close();
    return this.#broker.close();
  }
}

class FaultyReader implements PartitionReader {
  readonly #reader: PartitionReader;
  readonly #faults: Faults;
  readonly #where: { readonly topic: string; readonly partition: number };

  constructor(
    reader: PartitionReader,
    faults: Faults,
    where: { readonly topic: string; readonly partition: number },
  ) {
    this.#reader = reader;
    this.#faults = faults;
    this.#where = where;
  }

  get offset(): number {
    return this.#reader.offset;
  }

  next(): ReturnType<PartitionReader['next']> {
    return this.#faults.read({ call: 'read', ...this.#where }, () => this.#reader.next());
  }

  seek(offset: number): void {
    this.#reader.seek(offset);
  }
}

class FaultyMembership implements Membership {
  readonly #membership: Membership;
  readonly #faults: Faults;
  #untold: GroupChange | undefined;

  constructor(membership: Membership, faults: Faults) {
    this.#membership = membership;
    this.#faults = faults;
  }

  get member(): string {
    return this.#membership.member;
  }

  get tasks(): readonly OwnedTask[] {
    return this.#membership.tasks;
  }

  get agrees(): boolean {
    return this.#membership.agrees;
  }

  get tendAt(): number {
    return this.#membership.tendAt;
  }

  tend(): Promise<GroupChange> {
    return this.#faults
      .run({ call: 'tend' }, async () => {
        const change = await this.#membership.tend();
        this.#untold = merged(this.#untold, change);
        return this.#untold;
      })
      .then((told) => {
        // A change whose answer was lost is told of by the next one.
        this.#untold = undefined;
        return told;
      });
  }

  release(tasks: readonly string[]): Promise<void> {
    return this.#faults.run({ call: 'release' }, () => this.#membership.release(tasks));
  }

  commit(commit: TaskCommit): Promise<readonly Placed[]> {
    const { task, outputs } = commit;
    return this.#faults.run({ call: 'commit', task, outputs: topicsOf(outputs) }, () =>
      this.#membership.commit(commit),
    );
  }

  leave(): Promise<void> {
    return this.#faults.run({ call: 'leave' }, () => this.#membership.leave());
  }
}

/** One change behind the other, as one. */
function merged(before: GroupChange | undefined, after: GroupChange): GroupChange {
  if (before === undefined) return after;
  const { revoked } = after;
  const later = new Set([...after.gained.map(({ id }) => id), ...after.lost, ...revoked]);
  const gained = [...before.gained.filter(({ id }) => !later.has(id)), ...after.gained];
  const here = new Set([...gained.map(({ id }) => id), ...revoked]);
  const lost = new Set([...before.lost, ...after.lost]);
  return { gained, revoked, lost: [...lost].filter((id) => !here.has(id)) };
}

function topicsOf(frames: readonly Outgoing[]): readonly string[] {
  return frames.map(({ topic }) => topic);
}
