/**
 * What users say about the windows of a table.
 *
 * @module
 */
import { MillraceError } from '../core/errors.ts';
import { checkOptions } from '../core/given.ts';
import type { Known } from '../core/given.ts';
import type { SinkTarget } from '../stream/operator.ts';
import type { WindowLengths } from '../window/definition.ts';
import type { LateEvent } from './late.ts';

/** How long windows take events and can be read, and what becomes of events that come later. `K` is the key of the table. */
export interface WindowOptions<K = unknown> extends WindowLengths {
  /**
   * Where late events go, within the commit of the task: a topic, an agent, or a function, which is called before the commit and therefore at
   * least once. They are counted in any case. Default: nowhere.
   */
  readonly onLate?: SinkTarget<LateEvent<K>> | undefined;
  /**
   * What `now(key)` goes by: stream time, or the wall clock. With the wall clock a replay does not give the same again. Nothing else of a window
   * depends on it. Default `'stream'`.
   */
  readonly relativeTo?: 'stream' | 'now' | undefined;
}

const WINDOW_OPTIONS: Known<WindowOptions> = {
  grace: true,
  retention: true,
  onLate: true,
  relativeTo: true,
};

/** @throws `MR_OPTION_INVALID` for an option that there is not. */
export function checkWindowOptions(table: string, given: unknown): void {
  checkOptions(`windows of table ${table}`, given, WINDOW_OPTIONS);
}

/** The checked choice of {@link WindowOptions.relativeTo}. @throws `MR_OPTION_INVALID` */
export function checkedRelativeTo(given: unknown): 'stream' | 'now' {
  if (given === undefined || given === 'stream') return 'stream';
  if (given === 'now') return 'now';
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `relativeTo is ${typeof given === 'string' ? JSON.stringify(given.slice(0, 40)) : `a value of type ${typeof given}`}; give 'stream' or 'now'`,
    { details: { option: 'relativeTo' } },
  );
}
