/**
 * Waiting for records: readers that have come to the end of their partitions are watched while somebody waits, by requests that brokers answer when
 * there is something, or after a while.
 *
 * A reader is watched from the offset at which it found nothing, so that nothing that comes between its look and the wait is missed.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { sleep } from '../../core/clock.ts';
import type { MillraceError } from '../../core/errors.ts';
import { Waiters } from '../waiters.ts';
import type { Cluster } from './cluster.ts';

/** How long a broker waits for something before it answers that there is nothing. */
const ANSWER_MS = 500;
/** Of each partition the answer holds one batch or nothing: that there is something is all that is asked. */
const FEW_BYTES = 1;
/** After a failure. Whoever waits looks for itself, and finds out. */
const AGAIN_MS = 100;

/** Where a reader has come to the end. */
export interface Watched {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Waits of one broker object. */
export class Waits {
  readonly #cluster: Cluster;
  readonly #waiters: Waiters;
  /** Readers, and where they found nothing. */
  readonly #watched = new Map<object, Watched>();
  /** Those that a request is under way for. */
  readonly #asked = new Set<Watched>();
  /** Numbers of lanes with a request under way. */
  readonly #lanes = new Set<number>();
  #count = 0;
  #closed = false;

  constructor(cluster: Cluster, clock: Clock) {
    this.#cluster = cluster;
    this.#waiters = new Waiters({ clock, count: () => this.#count });
  }

  /** {@link RecordLog.changes}. */
  get count(): number {
    return this.#count;
  }

  /** Something has happened: wakes everyone who waits, and who is about to. */
  happened(): void {
    this.#count++;
    this.#waiters.notify();
  }

  /** `reader` has found nothing there. */
  watch(reader: object, place: Watched): void {
    this.#watched.set(reader, place);
    if (this.#waiters.waiting) this.#ask();
  }

  /** `reader` looks for itself. */
  unwatch(reader: object): void {
    this.#watched.delete(reader);
  }

  /** {@link RecordLog.changed}. */
  async wait(since: number, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    const waiting = this.#waiters.wait(since, timeoutMs, signal);
    if (this.#waiters.waiting) this.#ask();
    await waiting;
  }

  /** Ends every wait with `error`. */
  close(error: MillraceError): void {
    this.#closed = true;
    this.#waiters.close(error);
  }

  /** Sends requests for all that none is under way for. */
  #ask(): void {
    const wanted = [...this.#watched.values()].filter((place) => !this.#asked.has(place));
    if (wanted.length === 0 || this.#closed) return;
    for (const place of wanted) this.#asked.add(place);
    let lane = 0;
    while (this.#lanes.has(lane)) lane++;
    this.#lanes.add(lane);
    void this.#run(wanted, lane);
  }

  async #run(wanted: readonly Watched[], lane: number): Promise<void> {
    try {
      const leaders = new Map<number, Watched[]>();
      for (const place of wanted) {
        const leader = await this.#cluster.leader(place.topic, place.partition);
        const there = leaders.get(leader);
        if (there === undefined) leaders.set(leader, [place]);
        else there.push(place);
      }
      await Promise.all(
        [...leaders.values()].map(async (places) => await this.#poll(places, lane)),
      );
    } catch {
      await sleep(this.#cluster.clock, AGAIN_MS);
      // A leader may have moved, a topic be gone: the readers find out.
      if (!this.#closed) this.#found(wanted);
    } finally {
      for (const place of wanted) this.#asked.delete(place);
      this.#lanes.delete(lane);
    }
    if (this.#waiters.waiting) this.#ask();
  }

  async #poll(places: readonly Watched[], lane: number): Promise<void> {
    const [first] = places as readonly [Watched];
    // Of several readers of one partition the first to have more decides.
    const least = new Map<string, Watched>();
    for (const place of places) {
      const name = `${place.topic}/${place.partition}`;
      if ((least.get(name)?.offset ?? Infinity) > place.offset) least.set(name, place);
    }
    const { errorCode, results } = await this.#cluster.attempt(
      { kind: 'leader', topic: first.topic, partition: first.partition },
      this.#cluster.requests.fetch,
      [
        ANSWER_MS,
        FEW_BYTES,
        [...least.values()].map(({ topic, partition, offset }) => ({
          topic,
          partition,
          offset,
          maxBytes: FEW_BYTES,
        })),
      ],
      `wait ${lane}`,
    );
    const more = results.filter(
      (result) =>
        result.errorCode !== 0 ||
        result.stableEnd > (least.get(`${result.topic}/${result.partition}`)?.offset ?? Infinity),
    );
    if (errorCode !== 0) this.#found(places);
    else if (more.length > 0)
      this.#found(
        places.filter(({ topic, partition }) =>
          more.some((result) => result.topic === topic && result.partition === partition),
        ),
      );
  }

  /** There is more at these places, or something is wrong there. */
  #found(places: readonly Watched[]): void {
    for (const [reader, place] of this.#watched)
      if (places.includes(place)) this.#watched.delete(reader);
    this.happened();
  }
}
