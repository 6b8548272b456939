/**
 * What synchronous table methods have set going on behalf of an event belongs to the event: it is not finished before.
 *
 * @module
 */
import { isPromise } from '../core/types.ts';
import { settleWaits } from '../table/processing.ts';
import type { ProcessingCell } from '../table/processing.ts';

/** `result`, and then everything that `cell` waits for. */
export function withWaits(
  cell: ProcessingCell,
  result: void | Promise<void>,
): void | Promise<void> {
  if (isPromise(result)) return after(cell, result);
  return settleWaits(cell);
}

async function after(cell: ProcessingCell, result: Promise<void>): Promise<void> {
  try {
    await result;
  } finally {
    await settleWaits(cell);
  }
}
