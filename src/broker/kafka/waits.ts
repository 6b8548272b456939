/**
 * Waiting for records: readers that have come to the end of their partitions are watched while somebody waits, by requests that brokers answer when
 * there is something, or after a while.
 *
 * A partition is watched from the offset at which a reader found nothing, so that nothing that comes between its look and the wait is missed. Of several
 * readers the last counts; where it has come farther than the one before, that one has missed something, which is a change.
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
/** Requests under way, which is connections to each broker. Those for offsets that have been passed are answered at once, so there are few. */
const MAX_LANES = 8;
/** After a failure. Whoever waits looks for itself, and finds out. */
const AGAIN_MS = 100;

/** Where a reader has come to the end. */
export interface Watched {
  /** Names the reader. */
  readonly reader: object;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Waits of one broker object. */
export class Waits {
  readonly #cluster: Cluster;
  readonly #waiters: Waiters;
  /** By `topic/partition`, which bounds it: readers that are given up leave nothing else. */
  readonly #watched = new Map<string, Watched>();
  /** Those of them that a request is under way for, and some that were replaced meanwhile. */
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

  /** A reader has found nothing there. */
  watch(place: Watched): void {
    const before = this.#watched.get(nameOf(place));
    // The request that is under way for it will do.
    if (before?.offset !== place.offset) {
      this.#watched.set(nameOf(place), place);
      if (before !== undefined && before.reader !== place.reader && before.offset < place.offset)
        this.happened();
    }
    if (this.#waiters.waiting) this.#ask();
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
    // Beyond that, what is under way asks for the rest when it has its answer.
    if (wanted.length === 0 || this.#closed || this.#lanes.size >= MAX_LANES) return;
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
    const offsets = new Map(places.map((place) => [nameOf(place), place.offset]));
    const { errorCode, results } = await this.#cluster.attempt(
      { kind: 'leader', topic: first.topic, partition: first.partition },
      this.#cluster.requests.fetch,
      [
        ANSWER_MS,
        FEW_BYTES,
        places.map(({ topic, partition, offset }) => ({
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
        result.errorCode !== 0 || result.stableEnd > (offsets.get(nameOf(result)) ?? Infinity),
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
    for (const place of places)
      if (this.#watched.get(nameOf(place)) === place) this.#watched.delete(nameOf(place));
    this.happened();
  }
}

function nameOf({
  topic,
  partition,
}: {
  readonly topic: string;
  readonly partition: number;
}): string {
  return `${topic}/${partition}`;
}
