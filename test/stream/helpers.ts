/**
 * What the tests of streams share.
 *
 * @module
 */
import { MillraceError } from '../../src/core/errors.ts';
import type { Stream } from '../../src/stream/stream.ts';

/** An array that a stream's values are pushed to. */
export function into<T>(stream: Stream<T, unknown>): T[] {
  const values: T[] = [];
  stream.sink((value) => {
    values.push(value);
  });
  return values;
}

/** The code of the MillraceError that `fn` throws at once; a text that no test expects when it throws something else, or nothing. */
export function codeOf(fn: () => unknown): string {
  try {
    fn();
  } catch (error) {
    return error instanceof MillraceError ? error.code : `not a MillraceError: ${String(error)}`;
  }
  return 'nothing thrown';
}

/** The code of the MillraceError that `promise` rejects with. */
export async function codeOfRejection(promise: unknown): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return error instanceof MillraceError ? error.code : `not a MillraceError: ${String(error)}`;
  }
  return 'nothing thrown';
}

/** Lets everything that is ready have its turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Whether a promise has settled by now. */
export async function isSettled(promise: unknown): Promise<boolean> {
  let settled = false;
  const settle = (): void => void (settled = true);
  Promise.resolve(promise).then(settle, settle);
  await turn();
  return settled;
}

/** A function that is busy with each call until the test says so. */
export interface Manual<R> {
  readonly fn: (value: number) => Promise<R>;
  /** Values of the calls so far, in order. */
  readonly calls: number[];
  finish(value: number, result: R): void;
  fail(value: number, error: unknown): void;
}

export function manual<R = number>(): Manual<R> {
  const calls: number[] = [];
  const waiting = new Map<number, PromiseWithResolvers<R>>();
  const take = (value: number): PromiseWithResolvers<R> => {
    const call = waiting.get(value);
    if (call === undefined) throw new Error(`no call for ${value} is under way`);
    waiting.delete(value);
    return call;
  };
  return {
    calls,
    fn: (value) => {
      calls.push(value);
      const call = Promise.withResolvers<R>();
      waiting.set(value, call);
      return call.promise;
    },
    finish: (value, result) => take(value).resolve(result),
    fail: (value, error) => take(value).reject(error),
  };
}
