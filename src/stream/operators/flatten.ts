/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { EventCell } from '../../core/event.ts';
import { Lane } from '../lane.ts';
import type { MakeOperator, Output, Receive } from '../operator.ts';
import { nothing } from '../output.ts';

/**
 * Passes on the elements of each value, one level deep. A value may be iterable (a string: its characters) or async iterable.
 *
 * - *Order*: kept: all elements of a value before those of the next one.
 * - *Back-pressure*: an element goes on when the one before it has been dealt with, so async iterables are not read ahead. Meanwhile up to
 *   10,000 values wait, then `MR_OVERFLOW`.
 * - *State*: none.
 * - *Delivery*: each element once. When one fails, the rest of its value is not sent, and its iterator is closed. A value that is not
 *   iterable fails with `MR_ARGUMENT_INVALID`.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const orders = [{ items: ['oats', 'rye'] }, { items: [] }, { items: ['salt'] }];
 * await Stream.from(orders).pluck('items').flatten().toArray(); // => ['oats', 'rye', 'salt']
 * ```
 */
export function flatten(): MakeOperator {
  return (output) => {
    let busy = false;
    const receive: Receive = (value, event) => {
      if (busy) return lane.wait(value, event);
      const pending = sendAll(value, event, output);
      return pending === undefined ? undefined : lane.hold(pending, value, event);
    };
    const mark = (now: boolean): void => void (busy = now);
    const lane = new Lane('flatten', mark, receive, () => undefined);
    return { inputs: [receive], close: () => lane.close() };
  };
}

function sendAll(value: unknown, event: EventCell | null, output: Output): void | Promise<void> {
  if (Array.isArray(value)) {
    // No iterator object for the common case.
    for (let i = 0; i < value.length; i++) {
      const pending = output.next(value[i], event);
      if (pending !== undefined) return sendRest(pending, value.slice(i + 1), event, output);
    }
    return;
  }
  if (isIterable(value)) return sendEach(value[Symbol.iterator](), event, output);
  if (isAsyncIterable(value)) return sendLater(value, event, output);
  throw new MillraceError(
    'MR_ARGUMENT_INVALID',
    `flatten was given ${value === null ? 'null' : `a value of type ${typeof value}`}, which is not iterable; map it to an array first`,
    { details: { type: typeof value } },
  );
}

/** Ends when nothing is connected behind any more: the elements may have no end. */
function sendEach(
  elements: Iterator<unknown>,
  event: EventCell | null,
  output: Output,
): void | Promise<void> {
  for (;;) {
    const next = elements.next();
    if (next.done === true) return;
    let pending: void | Promise<void>;
    try {
      pending = output.next(next.value, event);
    } catch (error) {
      elements.return?.();
      throw error;
    }
    if (pending !== undefined)
      return sendRest(pending, { [Symbol.iterator]: () => elements }, event, output, elements);
    if (output.next === nothing) {
      elements.return?.();
      return;
    }
  }
}

/** Goes on after an element that had to be waited for. */
async function sendRest(
  pending: Promise<void>,
  rest: Iterable<unknown>,
  event: EventCell | null,
  output: Output,
  elements?: Iterator<unknown>,
): Promise<void> {
  try {
    await pending;
  } catch (error) {
    elements?.return?.();
    throw error;
  }
  for (const element of rest) {
    if (output.next === nothing) break;
    await output.next(element, event);
  }
}

async function sendLater(
  elements: AsyncIterable<unknown>,
  event: EventCell | null,
  output: Output,
): Promise<void> {
  for await (const element of elements) {
    await output.next(element, event);
    if (output.next === nothing) break;
  }
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return (
    typeof value === 'string' ||
    (typeof value === 'object' && value !== null && Symbol.iterator in value)
  );
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
