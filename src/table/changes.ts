/**
 * The stream of a table's changes: how it is declared, and how a change gets into it.
 *
 * A change flows on at once, as part of the event that made it: what happens behind it is committed, taken back and timed with that event.
 * Late windows, as behind `closed()`, cannot come of it.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import type { KeyRef } from '../core/event.ts';
import { isPromise } from '../core/types.ts';
import { sourceNode } from '../stream/graph.ts';
import type { GraphNode } from '../stream/node.ts';
import type { Change, Receive } from '../stream/operator.ts';
import { withKey } from './access.ts';
import type { LiveCell } from './access.ts';
import { waitFor } from './processing.ts';

/** The source node of a table's changes, once somebody has asked for it; shared by all objects of the table. */
export class ChangeSource {
  readonly #table: string;
  #node: GraphNode | undefined;
  #by: string | undefined;

  constructor(table: string) {
    this.#table = table;
  }

  /** `undefined` until it was asked for: then nothing has to be told. */
  get node(): GraphNode | undefined {
    return this.#node;
  }

  /** Name of the agent in whose part of the app the table lives, if it was said. */
  get by(): string | undefined {
    return this.#by;
  }

  /** @throws `MR_ARGUMENT_INVALID` when it was declared with another agent before. */
  open(by: string | undefined): GraphNode {
    if (by !== undefined && this.#by !== undefined && by !== this.#by)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `changes() of table ${this.#table} was given agent ${by}, and agent ${this.#by} before; a table lives in one part of an app, so name the same agent`,
        { details: { table: this.#table } },
      );
    this.#by ??= by;
    this.#node ??= sourceNode('changes', { kind: 'changes', name: this.#table });
    return this.#node;
  }
}

/**
 * Tells of a change that a synchronous method made. The event is not finished before everything behind it is, and fails if that fails, even
 * where the method's caller catches the error.
 */
export function tellChange(
  cell: LiveCell,
  receive: Receive,
  ref: KeyRef,
  change: Change<unknown, unknown>,
): void {
  let result: void | Promise<void>;
  try {
    result = receive(change, withKey(cell.event, ref));
  } catch (error) {
    waitFor(cell, Promise.reject(error));
    throw error;
  }
  if (isPromise(result)) waitFor(cell, result);
}
