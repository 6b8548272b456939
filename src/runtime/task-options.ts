/**
 * What a task is given.
 *
 * @module
 */
import type { Broker, Membership } from '../broker/broker.ts';
import type { Codec } from '../codec/codec.ts';
import type { Clock } from '../core/clock.ts';
import type { EventCell } from '../core/event.ts';
import type { Policy } from '../stream/policy.ts';
import type { RowFormat } from '../table/question.ts';
import type { Processing } from '../table/processing.ts';
import type { SubTopology } from '../topology/topology.ts';
import type { WindowDefinition } from '../window/definition.ts';
import type { Answer } from './answer.ts';
import type { TopicFormat } from './format.ts';
import type { FrameShare } from './frame-share.ts';
import type { Turns } from './turns.ts';

/** When a task commits, and how it takes its inputs. */
export interface CommitSettings {
  /** After this many events. */
  readonly every: number;
  /** This long after its first uncommitted event. */
  readonly intervalMs: number;
  /** A task whose events take long waits for them no more often than a tenth of the time; it commits at the latest after this long. */
  readonly maxIntervalMs: number;
  /** How long events that are under way may take to finish once a commit waits for them. */
  readonly drainTimeoutMs: number;
  /** When this many bytes of output are held back. */
  readonly maxBufferedBytes: number;
  /** When this many rows are dirty. */
  readonly maxDirtyRows: number;
  /** A task that has been at the end of its inputs for so long tells the tasks behind it not to wait. */
  readonly idleAfterMs: number;
  /** A checkpoint is taken when the changelog holds this many entries more; 0: when it is worth its while. */
  readonly checkpointEntries: number;
  /** How long an input at its end holds back the others of a task. */
  readonly maxIdleWaitMs: number;
  /** How far an input may run ahead of another that has no record and is not idle, in event time. Infinity: as far as it likes. */
  readonly maxSkewMs: number;
  /** Event times further ahead of the clock are refused. Infinity: none is. */
  readonly maxFutureMs: number;
}

/** Where a task begins to read a topic that it has no position in. */
export type StartFrom = 'earliest' | 'latest';

/** What a task needs. */
export interface TaskOptions {
  readonly group: string;
  readonly sub: SubTopology;
  readonly partition: number;
  readonly broker: Broker;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly processing: Processing;
  readonly commit: CommitSettings;
  /** Whether outputs are sent at once and commits do not wait for events under way. */
  readonly atLeastOnce: boolean;
  readonly startFrom: StartFrom;
  /** What to do about records that were deleted before they were read. */
  readonly onOffsetLost: 'fail' | 'skip';
  /** What becomes of events that fail where no nearer policy stands. */
  readonly policy: Policy;
  /** Rows that the task's tables may hold in memory. */
  readonly cacheRows: number;
  /** How the records of a topic are written and read: topics of the user and internal ones. */
  readonly format: (topic: string) => TopicFormat;
  /** The same for a topic that the task may read; `undefined` for what is none, as the name of a table. */
  readonly readable: (topic: string) => TopicFormat | undefined;
  /** Codec of operator state. */
  readonly stateCodec: Codec<unknown>;
  /** Called with the stored name of each table that the task uses. @throws `MR_TABLE_OWNED` */
  readonly own: (table: string) => void;
  /** The name that a table is stored under. */
  readonly stored: (table: string) => string;
  /** How rows of a table are written, by its stored name, and how long they live. */
  readonly table: (stored: string) => RowFormat;
  /** Grace and the like of the tables whose closed windows are used. */
  readonly window: (table: string) => {
    readonly codec: Codec<unknown>;
    readonly window: WindowDefinition;
  };
  /** Decoded frames of the other tasks of the process. */
  readonly share: FrameShare;
  /** The tasks of a process take their checkpoints one after the other. */
  readonly checkpointTurns: Turns;
  /** What has come of an event that somebody has asked an agent about. `send` adds a record to the task's outputs. */
  readonly reply: Reply;
  /** Something has happened that lets the task go on. */
  readonly wake: () => void;
}

/** Sends the answer of an agent to an event, if it was this agent that was asked. */
export type Reply = (agent: string, answer: Answer, event: EventCell, send: SendReply) => void;

/** Sends a record on behalf of an event. Throws what encoding throws; nothing is sent then. */
export type SendReply = (
  format: TopicFormat,
  value: unknown,
  partition: number,
  headers: Readonly<Record<string, string>>,
) => void;
