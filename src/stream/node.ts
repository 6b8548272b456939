/**
 * The description behind a `Stream`: what an operator is, and who its neighbours are. Pure data; `instance.ts` brings it to life,
 * `topology` reads it to cut an app into tasks.
 *
 * @module
 */
import type { KeyRef } from '../core/event.ts';
import type { MakeOperator } from './operator.ts';
import type { Policy } from './policy.ts';

/** What a node is to the layers above. */
export type NodeRole =
  /** Where values come from. `source` is `null` in a process; in an app it is a topic or a table's output. */
  | { readonly role: 'source'; readonly source: NodeSource | null }
  /** `transparent`: passes values on as they came, so that their stored bytes are still right behind it (filter, union). */
  | {
      readonly role: 'operator';
      readonly transparent: boolean;
      readonly stateful: boolean;
      /** It keeps values back outside its state, where a crash of an app would lose them. Then what to do instead, for the error. */
      readonly holds?: string | undefined;
      /** What becomes of values that fail behind it, for `onError`. */
      readonly policy?: Policy | undefined;
    }
  /** `groupBy`: an app cuts its graph here with a repartition topic. `name` is `undefined` in a process only. */
  | {
      readonly role: 'cut';
      readonly name: string | undefined;
      readonly key: (value: unknown) => unknown;
      readonly partitions: number | undefined;
    }
  | { readonly role: 'table'; readonly table: object }
  /** `policy`: of an agent that has one of its own. */
  | { readonly role: 'sink'; readonly target: object; readonly policy?: Policy | undefined };

/** What stands behind a source node of an app. Implemented by topics and tables. */
export interface NodeSource {
  readonly kind: 'topic' | 'closed' | 'changes';
  /** Durable name. */
  readonly name: string;
  /** Iterates over what comes from it, apart from the tasks of the app; missing where that cannot be. */
  readonly iterate?: ((options: IterateOptions) => AsyncIterableIterator<unknown>) | undefined;
  /** Why nothing can be declared on it: the app runs already. */
  readonly sealed?: string | undefined;
}

/** How a stream is iterated. */
export interface IterateOptions {
  /** Of a stream of this process: how many values may wait to be taken, an integer from 1. Default 1,000. */
  readonly capacity?: number | undefined;
  /** Ends the iteration: `next()` rejects with `MR_ABORTED`. */
  readonly signal?: AbortSignal | undefined;
  /** Of the stream of a topic: the name of the position behind which it goes on when it is iterated again. Default: the topic's name. */
  readonly group?: string | undefined;
}

/** One node. Everything but the neighbours is fixed when it is made. */
export interface GraphNode {
  /** The operator: `'map'`, `'filter'`, `'topic'`, … */
  readonly kind: string;
  /** The name that the user gave, if any. */
  readonly name: string | undefined;
  /** What tells it from others of its kind that have no name, for pictures and errors: the name of its function, its size. */
  readonly label?: string | undefined;
  readonly role: NodeRole;
  readonly make: MakeOperator;
  /** How many values it works on at once; default 1. Who feeds the graph should have so many under way. */
  readonly concurrency?: number | undefined;
  readonly parents: readonly GraphNode[];
  readonly children: readonly GraphNode[];
}

/** How keys are turned into their canonical form; given by the layers above, since codecs live there. */
export type MakeKey = (key: unknown) => KeyRef;
