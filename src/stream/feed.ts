/**
 * Values that go into a stream one after the other: `emitAll` and `Stream.from`.
 *
 * @module
 */
import { close, fail, isEnd, settleBehind } from './ending.ts';
import { behind, concurrencyBehind } from './live-node.ts';
import type { LiveNode, ValueFeed } from './live-node.ts';

/**
 * Emits all `values`, waiting for each before the next; behind operators with a `concurrency` so many are under way at once. The first
 * failure stops it and is thrown once everything under way has settled.
 */
export async function emitAll(
  node: LiveNode,
  values: Iterable<unknown> | AsyncIterable<unknown>,
  goOn?: () => boolean,
): Promise<void> {
  const atOnce = concurrencyBehind(node);
  const underWay = atOnce === 1 ? undefined : new UnderWay(atOnce);
  try {
    // `for await` would put a promise between any two values.
    if (Symbol.iterator in values)
      for (const value of values) {
        if (goOn?.() === false) break;
        const pending = node.emit(value);
        if (pending !== undefined) await (underWay === undefined ? pending : underWay.add(pending));
      }
    else
      for await (const value of values) {
        if (goOn?.() === false) break;
        const pending = node.emit(value);
        if (pending !== undefined) await (underWay === undefined ? pending : underWay.add(pending));
      }
  } finally {
    await underWay?.settled();
  }
  underWay?.check();
}

/** Events that are worked on side by side. */
class UnderWay {
  readonly #limit: number;
  readonly #events = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Resolves when there is room for one more. Throws the first failure so far. */
  async add(event: Promise<void>): Promise<void> {
    const settled = event.then(
      () => void this.#events.delete(settled),
      (error: unknown) => {
        this.#events.delete(settled);
        this.#failure ??= { error };
      },
    );
    this.#events.add(settled);
    if (this.#events.size >= this.#limit) await Promise.race(this.#events);
    this.check();
  }

  async settled(): Promise<void> {
    await Promise.all(this.#events);
  }

  /** @throws the first failure. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

/** A source with values of its own. It begins when somebody listens, and closes the stream behind the last value. */
export class Feed implements ValueFeed {
  readonly #node: LiveNode;
  readonly #values: Iterable<unknown> | AsyncIterable<unknown>;
  #run: Promise<void> | undefined;
  #watched = false;

  constructor(node: LiveNode, values: Iterable<unknown> | AsyncIterable<unknown>) {
    this.#node = node;
    this.#values = values;
  }

  start(): void {
    if (this.#run !== undefined) return;
    const run = this.#feed();
    this.#run = run;
    // Somebody has to hear of what goes wrong. If nobody waits, that is the process: an unhandled rejection.
    void run.then(
      async () => {
        const told = [...behind(this.#node)].some(isEnd);
        await close(this.#node).catch((error: unknown) => {
          if (!told && !this.#watched) throw error;
        });
      },
      (error: unknown) => {
        if (!fail(this.#node, error) && !this.#watched) throw error;
      },
    );
  }

  done(): Promise<void> {
    this.#watched = true;
    return this.#run ?? Promise.resolve();
  }

  async #feed(): Promise<void> {
    // Whoever is declared in the same go as the first listener gets all values too.
    await Promise.resolve();
    await emitAll(this.#node, this.#values, () => this.#node.accepting);
    await settleBehind([this.#node]);
  }
}
