/**
 * What a worker says while its group works by other declarations than its own.
 *
 * @module
 */
import type { GroupInfo } from '../broker/broker.ts';
import { differences } from '../topology/compare.ts';

/** How many of the others, and how many differences, are named. */
const NAMED = 10;

/** A warning for people. `own` is the fingerprint of the worker that waits. */
export function disagreement(group: string, { members, topology }: GroupInfo, own: string): string {
  const others = members
    .filter(({ agrees }) => agrees)
    .map(({ member, pid }) => `member ${member} (process ${pid})`);
  const lines = differences(own, topology);
  return [
    `group ${group}: this worker waits and gets no tasks, since ${listed(others)} ${others.length > 1 ? 'were' : 'was'} started with other declarations. What differs here:`,
    ...lines.slice(0, NAMED).map((line) => `  ${line}`),
    ...(lines.length > NAMED ? [`  and ${lines.length - NAMED} more`] : []),
    'Stop the others, and this worker takes over. If this is the older program, stop it instead.',
  ].join('\n');
}

function listed(members: readonly string[]): string {
  const rest = members.length - NAMED;
  const named = members.slice(0, NAMED);
  if (rest > 0) named.push(`${rest} more`);
  return named.length < 2 ? named.join('') : `${named.slice(0, -1).join(', ')} and ${named.at(-1)}`;
}
