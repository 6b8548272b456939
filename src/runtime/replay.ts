/**
 * What ends the life of a task without anybody being to blame.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import { MillraceError } from '../core/errors.ts';
import type { ErrorCode } from '../core/errors.ts';

/**
 * An event failed, and what it did cannot be taken back alone, because another one has built on it. The task goes back to its last commit
 * and processes its events one by one until it is past this one. Never seen by users.
 */
export class Replay extends Error {
  readonly topic: string;
  readonly offset: number;

  constructor(event: EventCell, cause: unknown) {
    super('a task has to go back to its last commit', { cause });
    this.topic = event.topic;
    this.offset = event.offset;
  }
}

/** An error that a policy has let through: the policies around it let it through as well. Never seen by users. */
export class LetThrough extends Error {
  constructor(error: unknown) {
    super('a policy has let an error through', { cause: error });
  }
}

/** Errors of the task itself, of the disk, or of an owner that has lost the task. */
const notForPolicies: readonly ErrorCode[] = [
  'MR_CORRUPT',
  'MR_OFFSET_LOST',
  'MR_FENCED',
  'MR_DISK_FULL',
  'MR_IO',
  'MR_ABORTED',
  'MR_CLOSED',
  'MR_INTERNAL',
  'MR_TABLE_OWNED',
];

/** Whether an error is a matter for policies. */
export function isForPolicy(error: unknown): boolean {
  if (error instanceof LetThrough || error instanceof Replay) return false;
  return !MillraceError.is(error) || !notForPolicies.includes(error.code);
}
