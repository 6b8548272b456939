/**
 * What sources outside a broker share: they run from the first listener, or from `start`, until they end or are stopped.
 *
 * @module
 */
import { isPromise } from '../core/types.ts';
import { emitAll } from '../stream/feed.ts';
import type { LiveNode } from '../stream/live-node.ts';
import { nodeOf, Stream } from '../stream/stream.ts';
import type { ConnectorOptions } from './options.ts';

/** What a source works with. */
export interface Feed<T> {
  /** Sends a value on. What it throws, `run` may throw: it ends the stream. */
  readonly emit: (value: T) => void | Promise<void>;
  /**
   * Sends values on, each when the one before it has been dealt with; in front of operators with a `concurrency`, as many at once as that says, or
   * `atOnce`. Resolves when all are dealt with, or the signal has aborted.
   */
  readonly emitAll: (values: Iterable<T> | AsyncIterable<T>, atOnce?: number) => Promise<void>;
  /** Aborts when nobody wants values any more: let go of everything, and return or throw. */
  readonly signal: AbortSignal;
  /** It is there for others: connected, listening, open. */
  readonly opened: () => void;
}

/**
 * A stream of what `run` emits, closed when it returns. When the signal has aborted, `run` may throw what it likes; only the failure of a
 * value counts then.
 */
export function sourceOf<T>(
  kind: string,
  options: ConnectorOptions,
  run: (feed: Feed<T>) => Promise<void>,
): Stream<T> {
  const { name = kind, signal: given, clock } = options;
  const stream = Stream.source<T>(
    async (context) => {
      const signal =
        given === undefined ? context.signal : AbortSignal.any([context.signal, given]);
      if (signal.aborted) return;
      let failure: { readonly error: unknown } | undefined;
      const failed = (error: unknown): never => {
        failure ??= { error };
        throw error;
      };
      const emit = (value: T): void | Promise<void> => {
        try {
          const pending = context.emit(value);
          return isPromise(pending) ? pending.catch(failed) : undefined;
        } catch (error) {
          return failed(error);
        }
      };
      const emitValues: Feed<T>['emitAll'] = async (values, atOnce) => {
        try {
          await emitAll(nodeOf(stream) as LiveNode, values, () => !signal.aborted, atOnce);
        } catch (error) {
          failed(error);
        }
      };
      try {
        await run({ emit, emitAll: emitValues, signal, opened: () => context.opened() });
      } catch (error) {
        if (!signal.aborted || failure?.error === error) throw error;
      }
    },
    { name, clock },
  );
  return stream;
}

/** Resolves when `signal` aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
