import { Effect, Stream } from 'effect';
import { add, increment, isEven, keep, keepLater, plusThree, plusTwo, total } from './work.mjs';

const keepAll = Stream.runForEachArray((values) =>
  Effect.sync(() => {
    for (let i = 0; i < values.length; i++) keep(values[i]);
  }),
);
const keepEach = Stream.runForEach((x) => Effect.sync(() => keep(x)));
const sums = (numbers) =>
  Stream.fromIterable(numbers).pipe(
    Stream.map(increment),
    Stream.filter(isEven),
    Stream.scan(() => 0, add),
  );

export const sync = (numbers) => Effect.runPromise(sums(numbers).pipe(keepAll));

export const awaited = (numbers) =>
  Effect.runPromise(
    sums(numbers).pipe(Stream.runForEach((x) => Effect.promise(() => keepLater(x)))),
  );

export const sliding = (numbers) =>
  Effect.runPromise(
    Stream.fromIterable(numbers).pipe(Stream.sliding(10), Stream.map(total), keepEach),
  );

export const partition = (numbers) =>
  Effect.runPromise(
    Stream.fromIterable(numbers).pipe(
      Stream.grouped(100),
      Stream.filter((group) => group.length === 100),
      Stream.map(total),
      keepEach,
    ),
  );

export const fork = (numbers) =>
  Effect.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const [a, b, c] = yield* Stream.fromIterable(numbers).pipe(
          Stream.broadcastN({ n: 3, capacity: 16 }),
        );
        const all = [Stream.map(a, increment), Stream.map(b, plusTwo), Stream.map(c, plusThree)];
        yield* Stream.mergeAll(all, { concurrency: 3 }).pipe(keepEach);
      }),
    ),
  );

export const iterate = async (numbers) => {
  const stream = Stream.fromIterable(numbers).pipe(Stream.map(increment), Stream.filter(isEven));
  for await (const x of Stream.toAsyncIterable(stream)) keep(x);
};
