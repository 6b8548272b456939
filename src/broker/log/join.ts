/**
 * Joining a group: a look at who is dead, then one transaction that makes the member one of the group.
 *
 * @module
 */
import { createHash } from 'node:crypto';

import type { JoinOptions, Membership } from '../broker.ts';
import { checkJoin } from '../checks.ts';
import { readMembers } from './group-rows.ts';
import { LogMembership, type GroupContext } from './membership.ts';

const LEASE_MS = 10_000;

/** Joins a group; see {@link Broker.join}. */
export async function joinGroup(
  context: GroupContext,
  group: string,
  options: JoinOptions,
): Promise<Membership> {
  checkJoin(group, options);
  const { kv, clock, random } = context;
  await context.listen();
  context.assertOpen();
  const members = readMembers(kv, group);
  // The dead would otherwise get a share, and be waited for.
  await context.probe(members.map(({ address }) => address).filter((address) => address !== ''));
  context.assertOpen();
  const { topology, leaseMs = LEASE_MS } = options;
  const tasks = options.tasks.map(({ id }) => id);
  let member = random.name();
  // Simulations may give several broker objects the same random numbers.
  while (members.some((other) => other.member === member)) member = random.name();
  const self = { member, hash: hashOf(topology, tasks), topology, tasks, leaseMs };
  const joined = new LogMembership(
    context,
    group,
    { ...self, joinedAt: clock.now() },
    options.answer,
  );
  context.members.add(joined);
  try {
    await joined.enter();
  } catch (error) {
    context.members.delete(joined);
    throw error;
  }
  return joined;
}

/** What members must agree about, short. */
function hashOf(topology: string, tasks: readonly string[]): string {
  const text = JSON.stringify([topology, tasks.toSorted()]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
