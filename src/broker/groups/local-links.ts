/**
 * Links within one process, for `memory:` brokers and simulations: no I/O and no timers. A message arrives in the microtasks that follow, in
 * the order in which it was sent, as a copy.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { MAX_MESSAGE_BYTES, type Accept, type Link, type LinkEnd, type Links } from './links.ts';

/** Where broker objects of one store meet. */
export class LocalHub {
  readonly #listening = new Map<string, { readonly accept: Accept; readonly links: LocalLinks }>();
  #listened = 0;

  /** Links for one broker object. */
  open(): Links {
    return new LocalLinks(this);
  }

  /** @internal */
  listen(links: LocalLinks, accept: Accept): string {
    const address = `local:${++this.#listened}`;
    this.#listening.set(address, { accept, links });
    return address;
  }

  /** @internal */
  unlisten(address: string): void {
    this.#listening.delete(address);
  }

  /** @internal */
  listener(address: string): { readonly accept: Accept; readonly links: LocalLinks } | undefined {
    return this.#listening.get(address);
  }
}

class LocalLinks implements Links {
  readonly #hub: LocalHub;
  readonly #ends = new Set<LocalLink>();
  #address: string | undefined;
  #closed = false;

  constructor(hub: LocalHub) {
    this.#hub = hub;
  }

  async listen(accept: Accept): Promise<string> {
    if (this.#closed) throw closedError();
    if (this.#address !== undefined) this.#hub.unlisten(this.#address);
    return (this.#address = this.#hub.listen(this, accept));
  }

  async connect(address: string, accept: Accept): Promise<Link | undefined> {
    await Promise.resolve();
    const there = this.#hub.listener(address);
    if (this.#closed) throw closedError();
    if (there === undefined) return undefined;
    const near = new LocalLink();
    const far = new LocalLink();
    near.join(far, accept(near), this.#ends);
    far.join(near, there.accept(far), there.links.#ends);
    return near;
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#address !== undefined) this.#hub.unlisten(this.#address);
    for (const end of this.#ends) end.close();
  }
}

class LocalLink implements Link {
  #other: LocalLink | undefined;
  #user: LinkEnd | undefined;
  #ends: Set<LocalLink> | undefined;

  join(other: LocalLink, user: LinkEnd, ends: Set<LocalLink>): void {
    this.#other = other;
    this.#user = user;
    this.#ends = ends;
    ends.add(this);
  }

  send(message: Uint8Array): boolean {
    const other = this.#other;
    if (other === undefined || message.length > MAX_MESSAGE_BYTES) return false;
    const copy = Buffer.from(message);
    queueMicrotask(() => other.#receive(copy));
    return true;
  }

  close(): void {
    const other = this.#other;
    if (other === undefined) return;
    this.#end();
    // Behind what was sent before.
    queueMicrotask(() => other.#end());
  }

  #receive(message: Buffer): void {
    try {
      this.#user?.received(message);
    } catch {
      this.close();
    }
  }

  #end(): void {
    const user = this.#user;
    this.#other = undefined;
    this.#user = undefined;
    this.#ends?.delete(this);
    user?.closed();
  }
}

function closedError(): MillraceError {
  return new MillraceError('MR_CLOSED', 'the links of this broker are closed');
}
