/**
 * One listener for all that waits on a signal.
 *
 * The platform searches its list of listeners whenever one comes or goes, so ten thousand waits on one signal would cost a hundred million steps.
 *
 * @module
 */

type Waiting = Set<() => void>;

interface Entry {
  readonly waiting: Waiting;
  /** Takes the listener away. */
  readonly leave: () => void;
}

/** Signals, and who waits for them. */
export class SharedAborts {
  readonly #signals = new Map<AbortSignal, Entry>();

  /** Calls `fn` when `signal` aborts. Returns what takes it back; each `fn` is added once. */
  add(signal: AbortSignal, fn: () => void): () => void {
    let entry = this.#signals.get(signal);
    if (entry === undefined) {
      const waiting: Waiting = new Set();
      const onAbort = (): void => {
        this.#signals.delete(signal);
        for (const one of waiting) one();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      entry = { waiting, leave: () => signal.removeEventListener('abort', onAbort) };
      this.#signals.set(signal, entry);
    }
    const { waiting, leave } = entry;
    waiting.add(fn);
    return () => {
      waiting.delete(fn);
      if (waiting.size > 0 || this.#signals.get(signal)?.waiting !== waiting) return;
      this.#signals.delete(signal);
      leave();
    };
  }
}
