/**
 * A member's place in a group of the brokers: joining, being told what the leader has decided, staying, leaving.
 *
 * A *generation* begins with every join of anybody: all members join, one of them leads, decides for all, and each is told its part. Who does not join in
 * time is out. What the members say and what is decided are bytes here; see `membership-wire.ts`.
 *
 * Nothing that a member commits under an old generation counts. So a member that finds out that the group joins anew ({@link GroupSession.beat}) ends
 * what it has under way under the present one, and then joins; in between it must not begin to commit.
 *
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import type { CallOptions, Cluster, Lane, Target } from './cluster.ts';
import { kafkaError, troubleOf } from './errors.ts';
import {
  decodeAssigned,
  decodeSubscription,
  encodeAssigned,
  encodeSubscription,
} from './membership-wire.ts';
import type { Assigned, Subscription } from './membership-wire.ts';
import type { OffsetsOwner } from './transactions.ts';

/** Kind of group: with this one brokers know which topics it reads. */
const PROTOCOL_TYPE = 'consumer';
/** Name of the way in which tasks are shared. Members with another one cannot join. */
const PROTOCOL = 'millrace';
/** Requests are given up after 40 seconds, and joining is one. */
const MAX_REBALANCE_MS = 30_000;
/** How often a join may be overtaken by the next one before it fails. */
const ATTEMPTS = 100;

/** How a member joins. */
export interface GroupSessionOptions {
  readonly group: string;
  /** Makes the member static: when it is back within its session, nobody joins anew for it. At most one member may have it. */
  readonly instanceId?: string | undefined;
  /** A member that does not beat for so long is out. Milliseconds; the brokers have bounds, 6,000 to 1,800,000 by default. */
  readonly sessionMs: number;
  /** So long the brokers wait for all members to join; who has not joined then is out. Milliseconds, 1,000 to 30,000. */
  readonly rebalanceMs: number;
}

/** A member as the leader sees it. */
export interface GroupPeer {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly subscription: Subscription;
}

/** What a member is told when it has joined. */
export interface Joined {
  readonly generation: number;
  readonly memberId: string;
  /** Whether this member has decided for all. */
  readonly led: boolean;
  readonly assigned: Assigned;
}

/** How things stand with a member. */
export type Beat =
  /** It is in. */
  | 'stays'
  /** Somebody has come or gone: join again. */
  | 'joins'
  /** It is out, or another one has its instance id: all it had is somebody else's. */
  | 'lost';

/** Decides for all members, the leader included. A member that is left out gets nothing. Must not wait for anything. */
export type Decide = (peers: readonly GroupPeer[]) => ReadonlyMap<string, Assigned>;

/** A member of one group. Calls must not overlap, but for {@link GroupSession.beat}. */
export class GroupSession {
  readonly #cluster: Cluster;
  readonly #options: GroupSessionOptions;
  readonly #lane: Lane;
  #memberId = '';
  #generation = -1;

  /** @param name Names the member among those of this cluster object. @throws `MR_OPTION_INVALID`. */
  constructor(cluster: Cluster, name: string, options: GroupSessionOptions) {
    const { group, rebalanceMs } = options;
    if (!(rebalanceMs >= 1000 && rebalanceMs <= MAX_REBALANCE_MS))
      throw new MillraceError(
        'MR_OPTION_INVALID',
        `rebalanceMs of group ${group} is ${String(rebalanceMs)}; give milliseconds, from 1000 to ${MAX_REBALANCE_MS}`,
      );
    this.#cluster = cluster;
    this.#options = options;
    this.#lane = `member ${name}`;
  }

  /** Under whose name offsets are committed. Before the first join, and after being lost, in nobody's: do not commit then. */
  get owner(): OffsetsOwner {
    return {
      group: this.#options.group,
      generation: this.#generation,
      memberId: this.#memberId,
      instanceId: this.#options.instanceId ?? null,
    };
  }

  /**
   * Joins, and waits until all others have joined and the leader has decided. May be called again at any time.
   *
   * @throws `MR_FENCED` when another member has the instance id, `MR_PERMISSION`, `MR_IO` (retryable), `MR_CLOSED`.
   */
  async join(subscription: Subscription, decide: Decide): Promise<Joined> {
    const { library } = this.#cluster;
    const { group, sessionMs, rebalanceMs } = this.#options;
    const instanceId = this.#options.instanceId ?? null;
    const metadata = encodeSubscription(subscription);
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      try {
        const joined = await this.#cluster.callRaw(
          this.#target,
          library.joinGroupV9.api,
          [
            group,
            sessionMs,
            rebalanceMs,
            this.#memberId,
            instanceId,
            PROTOCOL_TYPE,
            [{ name: PROTOCOL, metadata }],
            '',
          ],
          this.#waiting,
        );
        const { generationId: generation, leader, memberId, members } = joined;
        this.#memberId = memberId;
        // A leader that is back under its instance id finds everything decided.
        const led = leader === memberId && !joined.skipAssignment;
        const decided = led ? decide(members.map(peerOf)) : new Map<string, Assigned>();
        const told = await this.#cluster.callRaw(
          this.#target,
          library.syncGroupV5.api,
          [
            group,
            generation,
            memberId,
            instanceId,
            PROTOCOL_TYPE,
            PROTOCOL,
            [...decided].map(([id, assigned]) => ({
              memberId: id,
              assignment: encodeAssigned(assigned),
            })),
          ],
          this.#waiting,
        );
        this.#generation = generation;
        return { generation, memberId, led, assigned: decodeAssigned(told.assignment) };
      } catch (error) {
        this.#again(error);
      }
    }
    throw new MillraceError(
      'MR_IO',
      `group ${group} could not be joined: ${ATTEMPTS} times others came or went meanwhile; see why members do not stay`,
      { domain: 'external', retryable: true, details: { group } },
    );
  }

  /**
   * Says that this member lives, and asks how things stand. To be called three times within its session, at least.
   *
   * @throws `MR_IO` (retryable) when the coordinator cannot be reached for a third of the session; then try again.
   */
  async beat(): Promise<Beat> {
    if (this.#memberId === '' || this.#generation < 0) return 'lost';
    const { group, sessionMs, instanceId = null } = this.#options;
    try {
      await this.#cluster.callRaw(
        this.#target,
        this.#cluster.library.heartbeatV4.api,
        [group, this.#generation, this.#memberId, instanceId],
        { ...this.#call('does not answer'), retryForMs: sessionMs / 3 },
      );
      return 'stays';
    } catch (error) {
      const { reported } = troubleOf(error);
      if (reported.includes('REBALANCE_IN_PROGRESS')) return 'joins';
      if (reported.some((name) => LOST.has(name))) {
        this.#generation = -1;
        if (!reported.includes('ILLEGAL_GENERATION')) this.#memberId = '';
        return 'lost';
      }
      throw kafkaError(error, `group ${group} does not answer`, { group });
    }
  }

  /** Tells the others that this member goes; without it they wait for the end of its session. Idempotent. @throws `MR_IO` (retryable). */
  async leave(): Promise<void> {
    const { group, sessionMs, instanceId = null } = this.#options;
    if (this.#memberId === '') return;
    try {
      await this.#cluster.callRaw(
        this.#target,
        this.#cluster.library.leaveGroupV5.api,
        [group, [{ memberId: this.#memberId, groupInstanceId: instanceId, reason: '' }]],
        { ...this.#call('cannot be left'), retryForMs: sessionMs },
      );
    } catch (error) {
      // Out already.
      if (!troubleOf(error).reported.some((name) => LOST.has(name)))
        throw kafkaError(error, `group ${group} cannot be left`, { group });
    }
    this.#memberId = '';
    this.#generation = -1;
    await this.#cluster.closeLane(this.#lane);
  }

  /** Returns when a failed attempt to join is followed by another one. @throws the error for the caller else. */
  #again(error: unknown): void {
    const { reported } = troubleOf(error);
    if (reported.includes('MEMBER_ID_REQUIRED')) this.#memberId = givenIdOf(error);
    else if (reported.includes('UNKNOWN_MEMBER_ID')) this.#memberId = '';
    else if (!reported.some((name) => OVERTAKEN.has(name)))
      throw kafkaError(error, `group ${this.#options.group} cannot be joined`, {
        group: this.#options.group,
      });
  }

  /** The coordinator answers when all have joined, or the leader has decided. */
  get #waiting(): CallOptions {
    return { ...this.#call('cannot be joined'), lane: this.#lane };
  }

  get #target(): Target {
    return { kind: 'coordinator', of: 'group', key: this.#options.group };
  }

  #call(what: string): CallOptions {
    const { group } = this.#options;
    return { what: `group ${group} ${what}`, details: { group } };
  }
}

/** Somebody has come or gone while this member joined. */
const OVERTAKEN: ReadonlySet<string> = new Set(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION']);

const LOST: ReadonlySet<string> = new Set([
  'UNKNOWN_MEMBER_ID',
  'ILLEGAL_GENERATION',
  'FENCED_INSTANCE_ID',
]);

function peerOf(member: {
  readonly memberId: string;
  readonly groupInstanceId?: string | null | undefined;
  readonly metadata: Buffer;
}): GroupPeer {
  return {
    memberId: member.memberId,
    instanceId: member.groupInstanceId ?? null,
    subscription: decodeSubscription(member.metadata),
  };
}

/** With its refusal of a member without an id the coordinator gives it one. */
function givenIdOf(error: unknown): string {
  const { response } = error as { readonly response?: { readonly memberId?: unknown } };
  return typeof response?.memberId === 'string' ? response.memberId : '';
}
