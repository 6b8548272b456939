/**
 * Which options streams and their operators have: any other is an error where it is given, and not ignored.
 *
 * @module
 */
import { checkOptions } from '../core/given.ts';
import type { Known } from '../core/given.ts';

type Given =
  | 'Stream'
  | 'Stream.from'
  | 'Stream.source'
  | 'accumulate'
  | 'collect'
  | 'combineLatest'
  | 'delay'
  | 'distinct'
  | 'groupBy'
  | 'iterate'
  | 'map'
  | 'mapState'
  | 'merge'
  | 'partition'
  | 'partitionUnique'
  | 'retry'
  | 'slidingWindow'
  | 'split'
  | 'take'
  | 'throttle'
  | 'timedWindowUnique'
  | 'unique'
  | 'update'
  | 'zip';

const names: Readonly<Record<Given, Known<object>>> = {
  Stream: only('name', 'clock'),
  'Stream.from': only('name', 'clock'),
  'Stream.source': only('name', 'clock'),
  accumulate: only('start', 'returnsState', 'withState', 'resetOn', 'name'),
  collect: only('maxsize', 'flushOn', 'cache', 'name'),
  combineLatest: only('emitOn'),
  delay: only('capacity'),
  distinct: only('key', 'name'),
  groupBy: only('name', 'partitions'),
  iterate: only('capacity', 'signal', 'group'),
  map: only('concurrency', 'ordered', 'name'),
  mapState: only('name'),
  merge: only('concurrency'),
  partition: only('key', 'timeout', 'name'),
  partitionUnique: only('key', 'keep', 'name'),
  retry: only('times', 'backoff', 'maxBackoff'),
  slidingWindow: only('returnPartial', 'name'),
  split: only('maxKeys'),
  take: only('within', 'name'),
  throttle: only('trailing'),
  timedWindowUnique: only('key', 'keep'),
  unique: only('maxsize', 'key', 'name'),
  update: only('at'),
  zip: only('maxsize'),
};

/** @throws {@link MillraceError} `MR_OPTION_INVALID` for an option that `what` does not have, and for what is no object. */
export function checkNames(what: Given, options: unknown): void {
  checkOptions(what, options, names[what]);
}

function only(...options: string[]): Known<object> {
  return Object.fromEntries(options.map((option) => [option, true]));
}
