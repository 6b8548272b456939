/**
 * What this broker object sends to one other: pokes, of which at most one of a kind is under way, and questions. The link is made when it is
 * needed first, and again when it has ended.
 *
 * @module
 */
import type { Clock, Timer } from '../../core/clock.ts';
import { MillraceError } from '../../core/errors.ts';
import type { Link, Links } from './links.ts';
import {
  decodeMessage,
  encodeAsk,
  encodeHello,
  encodePoke,
  type Ask,
  type Message,
  type PokeKind,
} from './messages.ts';

/** Between two tries to connect, and between two links that end early. */
const BACK_OFF_MS = 1000;

/** What a peer reports. */
export interface PeerEvents {
  /** It is certain that nobody listens there any more. Called once. */
  dead(): void;
}

/** A poke that is on its way to the peer or waits for its answer; `again` if there was a reason for another one since. */
type Poking = 'no' | 'yes' | 'again';

interface Asking {
  readonly resolve: (answer: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
  /** The link has ended. */
  readonly lost: () => void;
}

/** Another broker object, seen from this one. */
export class Peer {
  readonly #address: string;
  readonly #links: Links;
  readonly #clock: Clock;
  readonly #events: PeerEvents;
  readonly #poking: Record<PokeKind, Poking> = { changes: 'no', group: 'no' };
  readonly #asking = new Map<number, Asking>();
  #state: 'new' | 'alive' | 'dead' | 'closed' = 'new';
  #watched = false;
  #link: Link | undefined;
  #connecting: Promise<Link | undefined> | undefined;
  #connectedAt = Number.NEGATIVE_INFINITY;
  #retry: Timer | undefined;
  /** Whether the link was made at once after one that had ended early. */
  #hasty = false;

  constructor(address: string, links: Links, clock: Clock, events: PeerEvents) {
    this.#address = address;
    this.#links = links;
    this.#clock = clock;
    this.#events = events;
  }

  get dead(): boolean {
    return this.#state === 'dead';
  }

  /** Whether it is of use to nobody at the moment. */
  get idle(): boolean {
    return !this.#watched && this.#asking.size === 0;
  }

  /** Keeps a link, whose end shows that the peer is dead; or stops doing so. */
  watch(watched: boolean): void {
    const begins = watched && !this.#watched;
    this.#watched = watched;
    if (begins) void this.#need();
  }

  /** Resolves when a look has been had at whether it is there; see {@link dead}. */
  async probe(): Promise<void> {
    await this.#need();
  }

  poke(kind: PokeKind): void {
    if (this.#state === 'dead' || this.#state === 'closed') return;
    if (this.#poking[kind] !== 'no') {
      this.#poking[kind] = 'again';
      return;
    }
    this.#poking[kind] = 'yes';
    if (this.#link === undefined) void this.#need();
    else if (!this.#link.send(encodePoke('poke', kind))) this.#poking[kind] = 'no';
  }

  /** Sends a question. @throws `MR_NO_OWNER`, `MR_OVERFLOW`, what the peer refuses with. */
  async ask(ask: Ask, signal: AbortSignal): Promise<Uint8Array> {
    const link = await this.#need();
    if (link === undefined) throw unreachable(ask.group, ask.task);
    signal.throwIfAborted();
    if (!link.send(encodeAsk(ask)))
      throw new MillraceError(
        'MR_OVERFLOW',
        `the owner of task ${ask.task} of group ${ask.group} does not read what it is asked; ask less, or later`,
        { domain: 'external', retryable: true },
      );
    return await new Promise<Uint8Array>((resolve, reject) => {
      const { group, task } = ask;
      this.#asking.set(ask.id, { resolve, reject, lost: () => reject(unreachable(group, task)) });
      signal.addEventListener('abort', () => void this.#asking.delete(ask.id), { once: true });
    });
  }

  close(): void {
    if (this.#state !== 'dead') this.#state = 'closed';
    this.#retry?.cancel();
    this.#link?.close();
  }

  /** The link, or `undefined` when there is none to be had now. */
  async #need(): Promise<Link | undefined> {
    if (this.#link !== undefined) return this.#link;
    if (this.#state === 'dead' || this.#state === 'closed') return undefined;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return await this.#connecting;
  }

  async #connect(): Promise<Link | undefined> {
    let link: Link | undefined;
    try {
      link = await this.#links.connect(this.#address, () => ({
        received: (bytes) => this.#received(decodeMessage(bytes)),
        closed: () => this.#ended(),
      }));
    } catch {
      this.#later();
      return undefined;
    }
    if (this.#state === 'closed') {
      link?.close();
      return undefined;
    }
    if (link === undefined) {
      this.#state = 'dead';
      this.#retry?.cancel();
      this.#events.dead();
      return undefined;
    }
    this.#state = 'alive';
    this.#link = link;
    this.#connectedAt = this.#clock.monotonic();
    link.send(encodeHello());
    for (const kind of ['changes', 'group'] as const)
      if (this.#poking[kind] !== 'no') link.send(encodePoke('poke', kind));
    return link;
  }

  #received(message: Message): void {
    switch (message.type) {
      case 'poked': {
        const again = this.#poking[message.kind] === 'again';
        this.#poking[message.kind] = 'no';
        if (again) this.poke(message.kind);
        return;
      }
      case 'answer':
        this.#asking.get(message.id)?.resolve(message.answer);
        return;
      case 'refusal':
        this.#asking.get(message.id)?.reject(message.error);
        return;
      case 'hello':
      case 'poke':
      case 'ask':
        throw new MillraceError(
          'MR_ARGUMENT_INVALID',
          `${this.#address} sends a message of type ${message.type} over a link that it did not make`,
          { domain: 'external' },
        );
    }
  }

  /** A link that ends may mean death. Connecting again tells. */
  #ended(): void {
    this.#link = undefined;
    for (const { lost } of this.#asking.values()) lost();
    if (this.#state === 'closed') return;
    const short = this.#clock.monotonic() - this.#connectedAt < BACK_OFF_MS;
    if (short && this.#hasty) {
      this.#later();
      return;
    }
    this.#hasty = short;
    this.#again();
  }

  #again(): void {
    if (this.#watched || Object.values(this.#poking).some((poking) => poking !== 'no'))
      void this.#need();
  }

  #later(): void {
    this.#hasty = false;
    this.#retry?.cancel();
    this.#retry = this.#clock.setTimer(BACK_OFF_MS, () => this.#again(), { unref: true });
  }
}

/** The error of a question that did not arrive, or whose answer did not. */
export function unreachable(group: string, task: string): MillraceError {
  return new MillraceError(
    'MR_NO_OWNER',
    `the owner of task ${task} of group ${group} cannot be reached: it has ended or is about to be replaced; ask again in a moment`,
    { domain: 'external', retryable: true, details: { group, task } },
  );
}
