/**
 * The other broker objects of a directory: who listens hears of changes, who dies is noticed, and who owns a task can be asked.
 *
 * A poke for changes is answered when somebody here next waits for changes, so a busy process is poked once and not for every append of the
 * others. Pokes for groups are answered at once.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import { MAX_ASK_BYTES } from '../checks.ts';
import type { Link, LinkEnd, Links } from './links.ts';
import {
  decodeMessage,
  encodeAnswer,
  encodePoke,
  encodeRefusal,
  type Ask,
  type PokeKind,
} from './messages.ts';
import { Peer, unreachable } from './peer.ts';

/** Most questions that wait for an answer, on either side. */
const MAX_ASKS = 1000;
/** What the questions that are being answered may have in all, in bytes. */
const MAX_ASKED_BYTES: number = 64 * 1024 * 1024;

/** What the broker object does with what it hears. */
export interface PeersEvents {
  /** Something has changed. True if somebody was waiting to hear it. */
  poked(kind: PokeKind): boolean;
  /** It is certain that the broker object of this address is no more. */
  died(address: string): void;
  /** A question about a task. */
  asked(group: string, task: string, question: Uint8Array): Promise<Uint8Array>;
}

export class Peers {
  readonly #links: Links;
  readonly #clock: Clock;
  readonly #events: PeersEvents;
  readonly #peers = new Map<string, Peer>();
  /** Links over which a poke came that is not answered yet. */
  readonly #owed = new Set<Link>();
  #watched: ReadonlySet<string> = new Set();
  #known: ReadonlySet<string> = new Set();
  #address = '';
  #askId = 0;
  #asking = 0;
  #answering = 0;
  #askedBytes = 0;
  #closed = false;

  constructor(links: Links, clock: Clock, events: PeersEvents) {
    this.#links = links;
    this.#clock = clock;
    this.#events = events;
  }

  /** Where this broker object listens, empty while it does not. */
  get address(): string {
    return this.#address;
  }

  /** Listens, or listens anew at another address. */
  async listen(): Promise<string> {
    this.#address = await this.#links.listen((link) => this.#accept(link));
    return this.#address;
  }

  /** Pokes these; they are not asked whether they are there. */
  poke(addresses: Iterable<string>, kind: PokeKind): void {
    for (const address of addresses) if (address !== this.#address) this.#peer(address)?.poke(kind);
  }

  /** Keeps links to these and to nobody else, to see them die. */
  watch(addresses: ReadonlySet<string>): void {
    this.#watched = addresses;
    for (const address of addresses) if (address !== this.#address) this.#peer(address);
    for (const [address, peer] of this.#peers) peer.watch(addresses.has(address));
    this.#forget();
  }

  /** Who listens at present; others may be forgotten. */
  know(addresses: ReadonlySet<string>): void {
    this.#known = addresses;
    this.#forget();
  }

  /** Finds out which of these are dead. */
  async probe(addresses: Iterable<string>): Promise<ReadonlySet<string>> {
    const dead = new Set<string>();
    await Promise.all(
      Array.from(addresses, async (address) => {
        const peer = address === this.#address ? undefined : this.#peer(address);
        await peer?.probe();
        if (peer?.dead === true) dead.add(address);
      }),
    );
    return dead;
  }

  /** Whether the broker object of this address is known to be no more. */
  isDead(address: string): boolean {
    return this.#peers.get(address)?.dead === true;
  }

  /** Somebody here begins to wait for changes: who poked may do so again. */
  waiting(): void {
    for (const link of this.#owed) link.send(encodePoke('poked', 'changes'));
    this.#owed.clear();
  }

  /** Asks the owner of a task at its address; see {@link Broker.ask}. What ends the waiting is the caller's `signal`. */
  async ask(
    address: string,
    group: string,
    task: string,
    question: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const peer = this.#peer(address);
    if (peer === undefined) throw unreachable(group, task);
    if (this.#asking >= MAX_ASKS) throw tooMany('this broker object waits for');
    this.#asking++;
    const free = (): void => void this.#asking--;
    // The signal ends with the call, however that ends.
    signal.addEventListener('abort', free, { once: true });
    return await peer.ask({ id: this.#nextId(), group, task, question }, signal);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    await this.#links.close();
  }

  #forget(): void {
    for (const [address, peer] of this.#peers) {
      if (this.#known.has(address) || this.#watched.has(address) || !peer.idle) continue;
      peer.close();
      this.#peers.delete(address);
    }
  }

  #nextId(): number {
    this.#askId = (this.#askId + 1) % 2 ** 32;
    return this.#askId;
  }

  #peer(address: string): Peer | undefined {
    if (this.#closed || address === '') return undefined;
    let peer = this.#peers.get(address);
    if (peer === undefined) {
      const dead = (): void => this.#events.died(address);
      peer = new Peer(address, this.#links, this.#clock, { dead });
      this.#peers.set(address, peer);
    }
    return peer;
  }

  /** The end of a link that somebody else has made. */
  #accept(link: Link): LinkEnd {
    let greeted = false;
    return {
      received: (bytes) => {
        const message = decodeMessage(bytes);
        if (greeted !== (message.type !== 'hello')) throw unexpected(message.type);
        if (message.type === 'hello') greeted = true;
        else if (message.type === 'poke') this.#poked(link, message.kind);
        else if (message.type === 'ask') void this.#answer(link, message);
        else throw unexpected(message.type);
      },
      closed: () => void this.#owed.delete(link),
    };
  }

  #poked(link: Link, kind: PokeKind): void {
    if (this.#events.poked(kind) || kind === 'group') link.send(encodePoke('poked', kind));
    else this.#owed.add(link);
  }

  async #answer(link: Link, { id, group, task, question }: Ask): Promise<void> {
    let reply: Buffer;
    try {
      if (this.#answering >= MAX_ASKS || this.#askedBytes + question.length > MAX_ASKED_BYTES)
        throw tooMany('the owner is busy with');
      this.#answering++;
      this.#askedBytes += question.length;
      try {
        const answer = await this.#events.asked(group, task, question);
        reply = encodeAnswer(id, checkAnswer(answer, group, task));
      } finally {
        this.#answering--;
        this.#askedBytes -= question.length;
      }
    } catch (error) {
      reply = encodeRefusal(id, error);
    }
    // Who does not read its answers is not served any longer; its questions fail with the link.
    if (!link.send(reply)) link.close();
  }
}

/** @throws `MR_ARGUMENT_INVALID` for an answer that is not bytes, or too long. */
export function checkAnswer(answer: Uint8Array, group: string, task: string): Uint8Array {
  if (answer instanceof Uint8Array && answer.length <= MAX_ASK_BYTES) return answer;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    (answer as unknown) instanceof Uint8Array
      ? `the answer of task ${task} of group ${group} has ${answer.length} bytes; the limit is ${MAX_ASK_BYTES}: ask for less`
      : `the answer of task ${task} of group ${group} is not a Uint8Array`,
    { details: { group, task } },
  );
}

function tooMany(who: string): MillraceError {
  return new MillraceError(
    'MR_OVERFLOW',
    `${who} as many answers as there may be (${MAX_ASKS}, or to questions of ${MAX_ASKED_BYTES} bytes); wait for some of them`,
    { domain: 'external', retryable: true, details: { limit: MAX_ASKS } },
  );
}

function unexpected(type: string): MillraceError {
  return new MillraceError('MR_ARGUMENT_INVALID', `a message of type ${type} was not expected`, {
    domain: 'external',
  });
}
