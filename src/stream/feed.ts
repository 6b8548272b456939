/**
 * Values that go into a stream one after the other: `emitAll` and `Stream.from`.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { kindOf } from '../core/given.ts';
import { closeByItself, fail, settleBehind } from './ending.ts';
import { concurrencyBehind } from './live-node.ts';
import type { LiveNode, ValueFeed } from './live-node.ts';

/** Checks that there are values to be read from `values`. @throws {@link MillraceError} `MR_ARGUMENT_INVALID` */
export function checkIterable(what: string, values: unknown): void {
  if (isIterable(values) || typeof Object(values)[Symbol.asyncIterator] === 'function') return;
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `${what} was given ${kindOf(values)}; give something to iterate over, such as an array or a generator${values instanceof Promise ? ', and await a promise of one' : ''}`,
    { details: { what } },
  );
}

function isIterable(values: unknown): values is Iterable<unknown> {
  return typeof Object(values)[Symbol.iterator] === 'function';
}

/**
 * Emits all `values`, waiting for each before the next; behind operators with a `concurrency` so many are under way at once. The first
 * failure stops it and is thrown once everything under way has settled.
 */
export async function emitAll(
  node: LiveNode,
  values: Iterable<unknown> | AsyncIterable<unknown>,
  goOn?: () => boolean,
  atOnce: number = concurrencyBehind(node),
): Promise<void> {
  const underWay = atOnce === 1 ? undefined : new UnderWay(atOnce);
  try {
    // `for await` would put a promise between any two values.
    if (isIterable(values))
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

/** What the function of a source works with. */
export interface SourceContext<in T> {
  /**
   * Sends a value; wait for what it returns before the next one, or the source is faster than what follows. Ignored once the stream takes no more.
   *
   * @throws what {@link Stream.emit} throws.
   */
  readonly emit: (value: T) => void | Promise<void>;
  /** Aborts when no more values are wanted: the stream is closed or destroyed, or nobody listens any more. */
  readonly signal: AbortSignal;
  /** Says that the source is open: it listens, is connected. Default: when the function returns. */
  readonly opened: () => void;
}

/** A source with values of its own. It begins when somebody listens, and closes the stream behind the last value. */
export class Feed implements ValueFeed {
  readonly #node: LiveNode;
  readonly #run: (context: SourceContext<unknown>) => Promise<void>;
  readonly #endless: boolean;
  #stopped = false;
  /** Made when somebody asks for its signal: to abort one costs more than all the rest of a short stream. */
  #stopping: AbortController | undefined;
  readonly #opened = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #unheard = false;
  #watched = false;

  /** @param options.endless `drain` does not wait for the end of it. */
  constructor(
    node: LiveNode,
    run: (context: SourceContext<unknown>) => Promise<void>,
    options: { readonly endless: boolean },
  ) {
    this.#node = node;
    this.#run = run;
    this.#endless = options.endless;
  }

  /** A source of what an iterable gives. */
  static of(node: LiveNode, values: Iterable<unknown> | AsyncIterable<unknown>): Feed {
    const goOn = (): boolean => feed.heard;
    const feed: Feed = new Feed(
      node,
      (context) =>
        isIterable(values)
          ? emitAll(node, values, goOn)
          : emitUntil(context.signal, node, values, goOn),
      { endless: false },
    );
    return feed;
  }

  get heard(): boolean {
    return !this.#unheard && this.#node.accepting;
  }

  start(): void {
    this.#unheard = false;
    if (this.#running !== undefined || !this.#node.accepting) return;
    const running = this.#feed();
    this.#running = running;
    // Somebody has to hear of what goes wrong. If nobody waits, that is the process: an unhandled rejection.
    void running.then(
      () => {
        this.#opened.resolve();
        closeByItself(this.#node, () => this.#watched);
      },
      (error: unknown) => {
        // Whoever waits for it to open hears of it there.
        this.#opened.promise.catch(() => undefined);
        this.#opened.reject(error);
        if (!fail(this.#node, error) && !this.#watched) throw error;
      },
    );
  }

  opened(): Promise<void> {
    this.#watched = true;
    return this.#running === undefined ? Promise.resolve() : this.#opened.promise;
  }

  unheard(): void {
    if (this.#running === undefined) return;
    this.#unheard = true;
    queueMicrotask(() => {
      // Its own end closes the stream.
      if (this.#unheard) this.#stop();
    });
  }

  letGo(): void {
    if (!this.heard) this.#watched = true;
  }

  stop(): Promise<void> {
    this.#stop();
    // What goes wrong is told where it was started.
    return this.#running?.catch(() => undefined) ?? Promise.resolve();
  }

  done(): Promise<void> {
    if (this.#endless) return Promise.resolve();
    this.#watched = true;
    return this.#running ?? Promise.resolve();
  }

  async #feed(): Promise<void> {
    // Whoever is declared in the same go as the first listener gets all values too.
    await Promise.resolve();
    if (!this.#stopped)
      try {
        await this.#run(this.#context());
      } catch (error) {
        if (!this.#isOfStopping(error)) throw error;
      }
    await settleBehind([this.#node]);
  }

  #context(): SourceContext<unknown> {
    const signal = (): AbortSignal => {
      this.#stopping ??= new AbortController();
      if (this.#stopped) this.#stopping.abort();
      return this.#stopping.signal;
    };
    return {
      emit: (value) =>
        this.#node.accepting && !this.#stopped ? this.#node.emit(value) : undefined,
      get signal() {
        return signal();
      },
      opened: () => this.#opened.resolve(),
    };
  }

  #stop(): void {
    this.#stopped = true;
    this.#stopping?.abort();
  }

  /** Whether an error only says that the signal has aborted: how what was given the signal ends. */
  #isOfStopping(error: unknown): boolean {
    if (!this.#stopped || this.#stopping === undefined) return false;
    const { reason } = this.#stopping.signal as { readonly reason: unknown };
    if (error === reason) return true;
    return error instanceof Error && (error.cause === reason || error.name === 'AbortError');
  }
}

/** Emits the values of an async iterable until the signal aborts. The value that it waits for then is not waited for. */
async function emitUntil(
  signal: AbortSignal,
  node: LiveNode,
  values: AsyncIterable<unknown>,
  goOn: () => boolean,
): Promise<void> {
  const iterator = values[Symbol.asyncIterator]();
  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([emitAll(node, { [Symbol.asyncIterator]: () => iterator }, goOn), aborted]);
  // A generator lets go when what it waits for has come.
  if (signal.aborted) void iterator.return?.()?.then(undefined, () => undefined);
}
