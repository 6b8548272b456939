/**
 * The description behind a `Stream`: what an operator is, and who its neighbours are. Pure data; `instance.ts` brings it to life,
 * `topology` reads it to cut an app into tasks.
 *
 * @module
 */
import type { KeyRef } from '../core/event.ts';
import type { MakeOperator } from './operator.ts';

/** What a node is to the layers above. */
export type NodeRole =
  /** Where values come from. `source` is `null` in a process; in an app it is a topic or a table's output. */
  | { readonly role: 'source'; readonly source: NodeSource | null }
  /** `transparent`: passes values on as they came, so that their stored bytes are still right behind it (filter, union). */
  | { readonly role: 'operator'; readonly transparent: boolean; readonly stateful: boolean }
  /** `groupBy`: an app cuts its graph here with a repartition topic. `name` is `undefined` in a process only. */
  | {
      readonly role: 'cut';
      readonly name: string | undefined;
      readonly key: (value: unknown) => unknown;
      readonly partitions: number | undefined;
    }
  | { readonly role: 'table'; readonly table: object }
  | { readonly role: 'sink'; readonly target: object };

/** What stands behind a source node of an app. Implemented by topics and tables. */
export interface NodeSource {
  readonly kind: 'topic' | 'closed' | 'changes';
  /** Durable name. */
  readonly name: string;
}

/** One node. Everything but the neighbours is fixed when it is made. */
export interface GraphNode {
  /** The operator: `'map'`, `'filter'`, `'topic'`, … */
  readonly kind: string;
  /** The name that the user gave, if any. */
  readonly name: string | undefined;
  readonly role: NodeRole;
  readonly make: MakeOperator;
  /** How many values it works on at once; default 1. Who feeds the graph should have so many under way. */
  readonly concurrency?: number | undefined;
  readonly parents: readonly GraphNode[];
  readonly children: readonly GraphNode[];
}

/** How keys are turned into their canonical form; given by the layers above, since codecs live there. */
export type MakeKey = (key: unknown) => KeyRef;
