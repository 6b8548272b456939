/**
 * The links between the processes: messages arrive when the schedule says so, in order, unless a fault loses, doubles or delays one. That is worse
 * than what the contract of links allows, and must do no harm: links carry no truth.
 *
 * @module
 */
import { MAX_MESSAGE_BYTES } from '../../src/broker/groups/links.ts';
import type { Accept, Link, LinkEnd, Links } from '../../src/broker/groups/links.ts';
import type { Machine } from './machine.ts';
import type { Schedule } from './schedule.ts';

/** What becomes of a message. */
export type MessageFault = 'lose' | 'double' | { readonly delayMs: number };

/** Asked about each message. */
export interface NetworkEvents {
  fault(): MessageFault | undefined;
}

type Arriving = Buffer | 'end' | 'accept';

interface Listener {
  readonly by: Machine;
  readonly accept: Accept;
  readonly own: Set<End>;
}

export class Network {
  readonly schedule: Schedule;
  readonly events: NetworkEvents;
  readonly listening: Map<string, Listener> = new Map();
  readonly #ends = new Set<End>();
  #listened = 0;

  constructor(schedule: Schedule, events: NetworkEvents) {
    this.schedule = schedule;
    this.events = events;
  }

  /** Links for one process. */
  open(by: Machine): Links {
    by.onDeath(() => {
      for (const [address, listener] of this.listening)
        if (listener.by === by) this.listening.delete(address);
      for (const end of [...this.#ends]) if (end.by === by) end.lost();
    });
    return new SimulatedLinks(this, by);
  }

  /** Breaks every link of a process, without anybody's doing. */
  cut(by: Machine): number {
    const ends = [...this.#ends].filter((end) => end.by === by);
    for (const end of ends) end.break();
    return ends.length;
  }

  add(end: End): void {
    this.#ends.add(end);
  }

  remove(end: End): void {
    this.#ends.delete(end);
  }

  newAddress(): string {
    return `sim:${++this.#listened}`;
  }
}

class SimulatedLinks implements Links {
  readonly #network: Network;
  readonly #by: Machine;
  readonly #own = new Set<End>();
  #address: string | undefined;
  #closed = false;

  constructor(network: Network, by: Machine) {
    this.#network = network;
    this.#by = by;
  }

  async listen(accept: Accept): Promise<string> {
    if (this.#closed) throw closedError();
    const { listening } = this.#network;
    if (this.#address !== undefined) listening.delete(this.#address);
    this.#address = this.#network.newAddress();
    listening.set(this.#address, { by: this.#by, accept, own: this.#own });
    return this.#address;
  }

  connect(address: string, accept: Accept): Promise<Link | undefined> {
    const network = this.#network;
    return new Promise((resolve, reject) => {
      network.schedule.soon(this.#by, 'connect', () => {
        if (this.#closed) {
          reject(closedError());
          return;
        }
        const there = network.listening.get(address);
        if (there === undefined) {
          resolve(undefined);
          return;
        }
        const near = new End(network, this.#by, this.#own);
        const far = new End(network, there.by, there.own);
        near.other = far;
        far.other = near;
        far.accept = there.accept;
        near.user = accept(near);
        far.push('accept', undefined);
        resolve(near);
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#address !== undefined) this.#network.listening.delete(this.#address);
    for (const end of [...this.#own]) end.close();
  }
}

class End implements Link {
  readonly by: Machine;
  other!: End;
  user: LinkEnd | undefined;
  accept: Accept | undefined;
  readonly #network: Network;
  readonly #own: Set<End>;
  /** What has been sent and has not arrived, in its order. */
  readonly #arriving: Arriving[] = [];
  /** When the last of them is due. */
  #due = 0;
  #open = true;

  constructor(network: Network, by: Machine, own: Set<End>) {
    this.#network = network;
    this.by = by;
    this.#own = own;
    own.add(this);
    network.add(this);
  }

  send(message: Uint8Array): boolean {
    if (!this.#open || message.length > MAX_MESSAGE_BYTES) return false;
    const fault = this.#network.events.fault();
    if (fault === 'lose') return true;
    this.other.push(Buffer.from(message), typeof fault === 'object' ? fault.delayMs : undefined);
    if (fault === 'double') this.other.push(Buffer.from(message), undefined);
    return true;
  }

  close(): void {
    if (!this.#open) return;
    this.#end();
    // Behind what was sent before.
    this.other.push('end', undefined);
  }

  /** Its process is no more. */
  lost(): void {
    this.#open = false;
    this.#network.remove(this);
    this.#own.delete(this);
    this.other.push('end', undefined);
  }

  /** The link breaks: both ends hear of it. */
  break(): void {
    this.push('end', undefined);
    this.other.push('end', undefined);
  }

  push(what: Arriving, delayMs: number | undefined): void {
    if (this.by.dead) {
      // A connection that was accepted by nobody.
      if (what !== 'end' && this.other.#open && !this.other.by.dead)
        this.other.push('end', undefined);
      return;
    }
    this.#arriving.push(what);
    const { schedule } = this.#network;
    const due = schedule.nowMs + (delayMs ?? schedule.latency());
    this.#due = Math.max(this.#due, due);
    schedule.after(this.#due - schedule.nowMs, this.by, 'link', () => this.#arrive());
  }

  #arrive(): void {
    const what = this.#arriving.shift();
    if (what === undefined || !this.#open) return;
    if (what === 'end') this.#end();
    else if (what === 'accept') this.user = this.accept?.(this);
    else {
      try {
        this.user?.received(what);
      } catch {
        this.close();
      }
    }
  }

  #end(): void {
    const user = this.user;
    this.#open = false;
    this.user = undefined;
    this.#own.delete(this);
    this.#network.remove(this);
    user?.closed();
  }
}

function closedError(): Error {
  return new Error('the links of this process are closed');
}
