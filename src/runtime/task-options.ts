/**
 * What a task is given.
 *
 * @module
 */
import type { Broker, Membership } from '../broker/broker.ts';
import type { Codec } from '../codec/codec.ts';
import type { Clock } from '../core/clock.ts';
import type { Processing } from '../table/processing.ts';
import type { SubTopology } from '../topology/topology.ts';
import type { WindowDefinition } from '../window/tumbling.ts';
import type { TopicFormat } from './format.ts';

/** When a task commits. */
export interface CommitSettings {
  /** After this many events. */
  readonly every: number;
  /** This long after its first uncommitted event. */
  readonly intervalMs: number;
  /** When this many bytes of output are held back. */
  readonly maxBufferedBytes: number;
  /** When this many rows are dirty. */
  readonly maxDirtyRows: number;
  /** A task that has been at the end of its inputs for so long tells the tasks behind it not to wait. */
  readonly idleAfterMs: number;
  /** A checkpoint is taken when the changelog holds this many entries more. */
  readonly checkpointEntries: number;
}

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
  /** How the records of a topic are written and read: topics of the user and internal ones. */
  readonly format: (topic: string) => TopicFormat;
  /** Codec of operator state. */
  readonly stateCodec: Codec<unknown>;
  /** Called with each table that the task uses. @throws `MR_TABLE_OWNED` */
  readonly own: (table: string) => void;
  /** Grace and the like of the tables whose closed windows are used. */
  readonly window: (table: string) => {
    readonly codec: Codec<unknown>;
    readonly window: WindowDefinition;
  };
}
