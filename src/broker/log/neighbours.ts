/**
 * This broker object among the others of its store: tells them what it has changed, hears of what they have, and sees them die. Everything
 * here is for speed; what is missed is found by the poll of `changes.ts` or at the next tending of a group.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import type { Kv } from '../../kv/kv.ts';
import type { Links } from '../groups/links.ts';
import { unreachable } from '../groups/peer.ts';
import { Peers, type PeersEvents } from '../groups/peers.ts';
import { Listeners } from './listeners.ts';

/** After listening was not possible, it is tried again at the next occasion that is as much later. */
const BACK_OFF_MS = 10_000;

export interface NeighboursOptions {
  readonly kv: Kv;
  readonly clock: Clock;
  /** Left out: there are none to be reached, and everything is found by polling. */
  readonly links?: Links | undefined;
  readonly events: PeersEvents;
}

export class Neighbours {
  readonly #listeners: Listeners;
  readonly #clock: Clock;
  readonly #peers: Peers | undefined;
  #listed: ReadonlySet<string> | undefined;
  #starting: Promise<void> | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;
  /** Whether others know where this one listens. */
  #heard = false;
  #closed = false;
  readonly #removing = new Set<string>();

  constructor({ kv, clock, links, events }: NeighboursOptions) {
    this.#clock = clock;
    this.#listeners = new Listeners(kv, clock);
    const died = (address: string): void => {
      events.died(address);
      void this.#remove(address);
    };
    this.#peers = links === undefined ? undefined : new Peers(links, clock, { ...events, died });
  }

  /** Whether others tell this one what they change. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Where this broker object listens, empty when it does not. */
  get address(): string {
    return this.#heard ? (this.#peers?.address ?? '') : '';
  }

  /** Sees to it that this broker object listens. Does not fail: without links everything works, but later. */
  async listen(): Promise<void> {
    if (this.#peers === undefined || this.#closed) return;
    if (this.#heard && this.#known().has(this.#peers.address)) return;
    if (this.#clock.monotonic() < this.#notBefore) return;
    this.#starting ??= this.#listen(this.#peers).finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
  }

  /** Somebody begins to wait for changes. */
  waiting(): void {
    if (!this.#heard && this.#starting === undefined) void this.listen();
    this.#peers?.waiting();
  }

  /** This broker object has appended something. */
  appended(): void {
    try {
      this.#peers?.poke(this.#known(), 'changes');
    } catch {
      // What was appended is there, whoever hears of it; the store has been closed meanwhile.
    }
  }

  /** This broker object has changed a group whose other members are at these addresses. */
  changedGroup(addresses: Iterable<string>): void {
    this.#peers?.poke(addresses, 'group');
  }

  /** Keeps an eye on these, and on nobody else. */
  watch(addresses: ReadonlySet<string>): void {
    this.#peers?.watch(addresses);
  }

  /** Which of these are certainly no more. */
  async probe(addresses: Iterable<string>): Promise<ReadonlySet<string>> {
    return (await this.#peers?.probe(addresses)) ?? new Set();
  }

  isDead(address: string): boolean {
    return this.#peers?.isDead(address) === true;
  }

  /** {@link Peers.ask}. */
  async ask(
    address: string,
    group: string,
    task: string,
    question: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (this.#peers === undefined) throw unreachable(group, task);
    return await this.#peers.ask(address, group, task, question, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#starting;
    const address = this.#heard ? (this.#peers?.address ?? '') : '';
    this.#heard = false;
    await this.#peers?.close();
    if (address !== '') await this.#remove(address);
  }

  async #listen(peers: Peers): Promise<void> {
    this.#heard = false;
    try {
      await this.#listeners.add(await peers.listen());
      this.#heard = true;
    } catch {
      this.#notBefore = this.#clock.monotonic() + BACK_OFF_MS;
    }
  }

  /** A row that stays costs whoever appends one try to connect, and is then found by them. */
  async #remove(address: string): Promise<void> {
    if (this.#removing.has(address)) return;
    this.#removing.add(address);
    try {
      await this.#listeners.remove([address]);
    } catch {
      // The store is closed or full; somebody else will come upon it.
    } finally {
      this.#removing.delete(address);
    }
  }

  #known(): ReadonlySet<string> {
    const listed = this.#listeners.read();
    if (listed !== this.#listed) {
      this.#listed = listed;
      this.#peers?.know(listed);
    }
    return listed;
  }
}
