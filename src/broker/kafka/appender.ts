/**
 * Appends without a producer's id. They run one batch after another, and what is called meanwhile waits and goes together: order is that of the
 * calls, and many small appends cost as much as a few.
 *
 * Brokers drop what they are sent twice, by sequence numbers that belong to an id which brokers give out. After a failure a new one is taken, since it
 * is not known which numbers have been used.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { Outgoing, Placed } from '../broker.ts';
import type { Cluster } from './cluster.ts';
import type { FrameSender, ProducerIdentity } from './frame-sender.ts';

/** Calls that may wait. */
const MAX_WAITING = 65_536;
/** What goes together at most, in frames. */
const MAX_FRAMES = 4096;

interface Waiting {
  readonly frames: readonly Outgoing[];
  readonly resolve: (placed: readonly Placed[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Appends of one broker object. */
export class Appender {
  readonly #cluster: Cluster;
  readonly #sender: FrameSender;
  #identity: ProducerIdentity | undefined;
  #waiting: Waiting[] = [];
  #running = false;

  constructor(cluster: Cluster, sender: FrameSender) {
    this.#cluster = cluster;
    this.#sender = sender;
  }

  /** Resolves when all replicas that are in sync have the frames. @throws `MR_OVERFLOW` (retryable), `MR_IO` and others. */
  async append(frames: readonly Outgoing[]): Promise<readonly Placed[]> {
    if (frames.length === 0) return [];
    if (this.#waiting.length >= MAX_WAITING)
      throw new MillraceError(
        'MR_OVERFLOW',
        `${MAX_WAITING} appends wait for the brokers of ${this.#cluster.shown}; await each before the next`,
        { retryable: true },
      );
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ frames, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      // Everything that is appended in this turn goes together.
      queueMicrotask(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      let count = 0;
      let calls = 0;
      for (const { frames } of this.#waiting) {
        if (calls > 0 && count + frames.length > MAX_FRAMES) break;
        count += frames.length;
        calls++;
      }
      await this.#send(this.#waiting.splice(0, calls));
    }
    this.#running = false;
  }

  async #send(calls: readonly Waiting[]): Promise<void> {
    try {
      this.#identity ??= await this.#takeIdentity();
      const sent = await this.#sender.send(
        this.#identity,
        calls.flatMap(({ frames }) => frames),
      );
      let at = 0;
      for (const { frames, resolve, reject } of calls) {
        const placed: Placed[] = [];
        let failure: { readonly error: unknown } | undefined;
        for (const result of sent.slice(at, at + frames.length))
          if ('error' in result) failure ??= result;
          else placed.push(result.placed);
        at += frames.length;
        if (failure === undefined) resolve(placed);
        else {
          this.#identity = undefined;
          reject(failure.error);
        }
      }
    } catch (error) {
      this.#identity = undefined;
      for (const { reject } of calls) reject(error);
    }
  }

  async #takeIdentity(): Promise<ProducerIdentity> {
    const { producerId, producerEpoch } = await this.#cluster.call(
      { kind: 'any' },
      this.#cluster.library.initProducerIdV4.api,
      [null, 1000, -1n, -1],
      { what: `no producer id can be had from ${this.#cluster.shown}` },
    );
    return { producerId, producerEpoch, transactionalId: null, sequences: new Map() };
  }
}
