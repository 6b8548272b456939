/**
 * Fan-out: how one node calls several.
 *
 * Invariant: targets are called in order, and the promise of a value settles only when everything that was started for it has, so that
 * its event cell may be reused and no rejection is left without a handler.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import type { Receive } from './operator.ts';

/** Takes a value that nobody wants. */
export const nothing: Receive = () => undefined;

/**
 * One function that calls all `targets` in order. A target that throws keeps the value from those after it; the throw waits for promises
 * that were already started, whose own outcome is then dropped.
 */
export function fanOut(targets: readonly Receive[]): Receive {
  const [first, second, third] = targets;
  if (first === undefined) return nothing;
  if (second === undefined) return first;
  if (third === undefined) return pair(first, second);
  return targets.length === 3 ? triple(first, second, third) : many(targets);
}

function pair(first: Receive, second: Receive): Receive {
  return (value, event) => {
    const pending = first(value, event);
    if (pending === undefined) return second(value, event);
    return goOn(pending, [second], 0, value, event);
  };
}

function triple(first: Receive, second: Receive, third: Receive): Receive {
  return (value, event) => {
    let pending = first(value, event);
    if (pending !== undefined) return goOn(pending, [second, third], 0, value, event);
    pending = second(value, event);
    if (pending !== undefined) return goOn(pending, [third], 0, value, event);
    return third(value, event);
  };
}

function many(targets: readonly Receive[]): Receive {
  return (value, event) => {
    // As long as nothing is under way a throw has nothing to wait for.
    for (let i = 0; i < targets.length; i++) {
      const pending = (targets[i] as Receive)(value, event);
      if (pending !== undefined) return goOn(pending, targets, i + 1, value, event);
    }
    return undefined;
  };
}

/** The targets after one that has to be waited for. */
function goOn(
  first: Promise<void>,
  targets: readonly Receive[],
  from: number,
  value: unknown,
  event: EventCell | null,
): Promise<void> {
  const pending = [first];
  try {
    for (const target of targets.slice(from)) {
      const one = target(value, event);
      if (one !== undefined) pending.push(one);
    }
  } catch (error) {
    return throwAfter(pending, error);
  }
  return pending.length === 1 ? first : settleAll(pending);
}

/** Resolves when all have; rejects with the first rejection, in their order, once all have settled. */
export async function settleAll(promises: readonly Promise<void>[]): Promise<void> {
  const outcomes = await Promise.allSettled(promises);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
}

async function throwAfter(promises: readonly Promise<void>[], error: unknown): Promise<never> {
  await Promise.allSettled(promises);
  throw error;
}
