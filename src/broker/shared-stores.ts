/**
 * Stores in memory that several brokers of one process share by name. Whoever wants sharing owns such an object and passes
 * it to every `openBroker`; there is no registry behind anybody's back.
 *
 * A store lives from its first opening to its last closing; then its content is gone.
 *
 * @module
 */
import type { Kv } from '../kv/kv.ts';
import { share } from '../kv/share.ts';
import { LocalHub } from './groups/local-links.ts';

/** Names and their open stores. */
export class SharedStores {
  readonly #stores = new Map<string, { readonly kv: Kv; readonly hub: LocalHub; users: number }>();

  /** Where the users of an open store reach each other. */
  hub(name: string): LocalHub | undefined {
    return this.#stores.get(name)?.hub;
  }

  /** The store of that name, made with `make` if nobody has it open. Close what is returned; the last one to close it ends it. */
  open(name: string, make: () => Kv): Kv {
    let store = this.#stores.get(name);
    if (store === undefined) {
      store = { kv: make(), hub: new LocalHub(), users: 0 };
      this.#stores.set(name, store);
    }
    store.users++;
    const { kv } = store;
    return share(kv, `memory:${name}`, async () => {
      await kv.flush();
      store.users--;
      if (store.users > 0) return;
      this.#stores.delete(name);
      await kv.close();
    });
  }
}
