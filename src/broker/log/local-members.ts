/**
 * The members of groups that belong to this broker object, and what it hears and asks on their behalf.
 *
 * @module
 */
import type { Clock } from '../../core/clock.ts';
import { messageOf, MillraceError } from '../../core/errors.ts';
import type { Random } from '../../core/random.ts';
import type { Kv } from '../../kv/kv.ts';
import type { Broker, GroupInfo, JoinOptions, Membership } from '../broker.ts';
import { checkAsk, internalName } from '../checks.ts';
import { withDeadline } from '../groups/deadline.ts';
import type { Links } from '../groups/links.ts';
import { checkAnswer } from '../groups/peers.ts';
import type { Changes } from './changes.ts';
import { readGroup, readMember, readMembers, readTask, readTasks } from './group-rows.ts';
import { joinGroup } from './join.ts';
import type { GroupContext, LogMembership } from './membership.ts';
import { Neighbours } from './neighbours.ts';
import type { Topics } from './topics.ts';

/** How long an answer is waited for if nothing else is said. */
const ASK_TIMEOUT_MS = 5000;

export interface LocalMembersOptions {
  readonly kv: Kv;
  readonly clock: Clock;
  readonly random: Random;
  readonly topics: Topics;
  readonly links?: Links | undefined;
  readonly changes: () => Changes;
  /** @throws `MR_CLOSED`. */
  readonly assertOpen: () => void;
}

export class LocalMembers {
  readonly neighbours: Neighbours;
  readonly #options: LocalMembersOptions;
  readonly #members = new Set<LogMembership>();
  readonly #context: GroupContext;

  constructor(options: LocalMembersOptions) {
    const { kv, clock, random, topics, links, changes, assertOpen } = options;
    this.#options = options;
    const neighbours = new Neighbours({
      kv,
      clock,
      links,
      events: {
        poked: (kind) => {
          const { waiting } = changes();
          if (kind === 'group') this.look();
          else changes().notify();
          return waiting;
        },
        died: () => this.look(),
        asked: async (group, task, question) => await this.#answer(group, task, question),
      },
    });
    this.neighbours = neighbours;
    this.#context = {
      kv,
      clock,
      random,
      topics,
      members: this.#members,
      assertOpen,
      address: () => neighbours.address,
      isDead: (address) => neighbours.isDead(address),
      listen: async () => await neighbours.listen(),
      probe: async (addresses) => void (await neighbours.probe(addresses)),
      watch: () => neighbours.watch(new Set([...this.#members].flatMap(({ others }) => others))),
      appended: () => this.appended(),
      changedGroup: (member) => {
        for (const other of this.#members)
          if (other !== member && other.group === member.group) other.look();
        neighbours.changedGroup(member.others);
      },
      happened: () => changes().happened(),
    };
  }

  /** Something was appended by this broker object: whoever waits, here and elsewhere, has a look. */
  appended(): void {
    this.#options.changes().notify();
    this.neighbours.appended();
  }

  /** Lets every member look whether something has happened to its group. */
  look(): void {
    try {
      for (const member of this.#members) member.look();
    } catch {
      // The store cannot be read; whoever tends or commits is told so.
    }
  }

  async join(group: string, options: JoinOptions): Promise<Membership> {
    return await joinGroup(this.#context, group, options);
  }

  async ask(
    group: string,
    task: string,
    question: Uint8Array,
    { timeoutMs = ASK_TIMEOUT_MS, signal }: NonNullable<Parameters<Broker['ask']>[3]> = {},
  ): Promise<Uint8Array> {
    checkAsk(group, task, question, timeoutMs);
    const { kv, clock } = this.#options;
    const late = (): MillraceError => lateError(group, task, timeoutMs);
    return await withDeadline(clock, { timeoutMs, signal, late }, async (ended) => {
      const owner = readTask(kv, group, task)?.owner ?? null;
      if (owner === null) throw noOwner(group, task);
      if ([...this.#members].some(({ member }) => member === owner))
        return await this.#answer(group, task, question);
      const address = readMember(kv, group, owner)?.address ?? '';
      return await this.neighbours.ask(address, group, task, question, ended);
    });
  }

  async #answer(group: string, task: string, question: Uint8Array): Promise<Uint8Array> {
    const owner = [...this.#members].find((member) => member.group === group && member.owns(task));
    if (owner === undefined) throw noOwner(group, task);
    if (owner.answer === undefined)
      throw new MillraceError(
        'MR_NO_OWNER',
        `the owner of task ${task} of group ${group} answers no questions; join with the option answer`,
        { domain: 'external', details: { group, task } },
      );
    try {
      return checkAnswer(await owner.answer(task, question), group, task);
    } catch (error) {
      if (MillraceError.is(error)) throw error;
      throw new MillraceError(
        'MR_INTERNAL',
        `task ${task} of group ${group} could not answer: ${messageOf(error)}`,
        { cause: error, domain: 'internal', details: { group, task } },
      );
    }
  }
}

/** {@link Broker.describeGroup}. */
export function describeGroup(kv: Kv, group: string): GroupInfo | undefined {
  internalName('group', group);
  const found = readGroup(kv, group);
  if (found === undefined) return undefined;
  const { topology, seenAt, hash } = found;
  return {
    topology,
    seenAt,
    tasks: readTasks(kv, group).map(({ id, epoch, stateId, positions, meta, owner }) => ({
      id,
      epoch,
      stateId,
      positions,
      meta,
      owner,
    })),
    members: readMembers(kv, group).map((state) => {
      const { member, pid, joinedAt } = state;
      return { member, pid, joinedAt, agrees: state.hash === hash };
    }),
  };
}

function noOwner(group: string, task: string): MillraceError {
  return new MillraceError(
    'MR_NO_OWNER',
    `nobody owns task ${task} of group ${group} at the moment; start a worker of it, or ask again in a moment`,
    { domain: 'external', retryable: true, details: { group, task } },
  );
}

function lateError(group: string, task: string, timeoutMs: number): MillraceError {
  return new MillraceError(
    'MR_TIMEOUT',
    `the owner of task ${task} of group ${group} did not answer within ${timeoutMs} ms; it may be busy or frozen: ask again, or give it longer`,
    { domain: 'external', retryable: true, details: { group, task, timeoutMs } },
  );
}
