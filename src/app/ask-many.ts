/**
 * Many questions to one agent: `map` and `join`.
 *
 * @module
 */
import { abortError } from '../core/clock.ts';

/** Questions under way at once, together with the answers that nobody has taken yet. */
const AT_ONCE = 256;

/** Asks for one value. `signal` aborts when the answer is not wanted any more. */
export type AskOne<In, Out> = (value: In, signal: AbortSignal) => Promise<Out>;

/**
 * The answers to `values` as they come.
 *
 * - *Order*: of the answers, whatever that of the values was; {@link askAll} has the other one.
 * - *Back-pressure*: no value is taken while 256 answers are awaited or have not been taken.
 * - *State*: those answers.
 * - *Delivery*: each answer once. The first error ends it, behind the answers that came before, and gives up the rest. So do `signal`, with
 *   `MR_ABORTED`, and leaving it early.
 */
export async function* askEach<In, Out>(
  values: Iterable<In> | AsyncIterable<In>,
  ask: AskOne<In, Out>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Out, void> {
  if (signal?.aborted === true) throw abortError(signal);
  const end = new AbortController();
  const answers: Out[] = [];
  let underWay = 0;
  let exhausted = false;
  let failure: { readonly error: unknown } | undefined;
  let news = Promise.withResolvers<void>();
  let room = Promise.withResolvers<void>();
  const fail = (error: unknown): void => {
    failure ??= { error };
    end.abort();
    room.resolve();
    news.resolve();
  };
  const begin = (value: In): void => {
    underWay++;
    ask(value, end.signal).then((answer) => {
      underWay--;
      answers.push(answer);
      news.resolve();
    }, fail);
  };
  const feed = async (): Promise<void> => {
    for await (const value of values) {
      if (end.signal.aborted) return;
      begin(value);
      while (underWay + answers.length >= AT_ONCE && !end.signal.aborted) {
        room = Promise.withResolvers();
        await room.promise;
      }
      // Before one more value is taken from the source.
      if (end.signal.aborted) return;
    }
    exhausted = true;
    news.resolve();
  };
  const onAbort = (): void => fail(abortError(signal));
  signal?.addEventListener('abort', onAbort, { once: true });
  feed().catch(fail);
  try {
    for (;;) {
      if (answers.length > 0) {
        const answer = answers.shift() as Out;
        room.resolve();
        yield answer;
      } else if (failure !== undefined) {
        throw failure.error;
      } else if (exhausted && underWay === 0) {
        return;
      } else {
        await news.promise;
        news = Promise.withResolvers();
      }
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    end.abort();
    room.resolve();
  }
}

/** The answers to all `values`, in their order. Rejects with the first error, and gives up the rest. */
export async function askAll<In, Out>(
  values: Iterable<In>,
  ask: AskOne<In, Out>,
  signal: AbortSignal | undefined,
): Promise<Out[]> {
  const all: Out[] = [];
  const numbered = async (
    [at, value]: readonly [number, In],
    until: AbortSignal,
  ): Promise<void> => {
    all[at] = await ask(value, until);
  };
  let count = 0;
  const pairs = (function* (): Generator<readonly [number, In]> {
    for (const value of values) yield [count++, value];
  })();
  const answers = askEach(pairs, numbered, signal);
  while ((await answers.next()).done !== true);
  return all;
}
