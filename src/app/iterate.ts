/**
 * `for await` over a topic, outside the tasks of an app: a group of its own, at least once.
 *
 * It has a worker like any app, whose one agent hands each event to the loop and is finished with it when the loop asks for the next one. So
 * processes share the partitions, positions are committed behind the loop, and what the loop had in hand when it ended comes again.
 *
 * @module
 */
import type { Broker } from '../broker/broker.ts';
import { abortError } from '../core/clock.ts';
import { MillraceError } from '../core/errors.ts';
import { validName } from '../core/names.ts';
import type { TopicFormat } from '../runtime/format.ts';
import type { Task } from '../runtime/task.ts';
import type { Worker } from '../runtime/worker.ts';
import { childNode, sourceNode } from '../stream/graph.ts';
import type { IterateOptions } from '../stream/node.ts';
import { policyOf } from '../stream/policy.ts';
import { Processing } from '../table/processing.ts';
import { agentNode, agentRun, eachAgent } from './agent.ts';
import { Declared } from './declared.ts';
import type { Settings } from './options.ts';
import { prepare, startWorker } from './starting.ts';
import type { StartContext } from './starting.ts';

/** How long the worker of a loop that has ended may take to stop. */
const STOP_MS = 30_000;

/** What an iteration needs of the app. */
export interface IterateContext {
  readonly settings: Settings;
  /** Groups that are being iterated in this process. */
  readonly groups: Set<string>;
  readonly broker: () => Promise<Broker>;
}

/** An event that waits for the loop, or that it has. */
interface Held {
  readonly value: unknown;
  readonly finish: () => void;
  readonly giveUp: (error: Error) => void;
}

/**
 * The values of a topic, from where the group stands; its worker starts at the first `next()`. One value is out at a time.
 *
 * @throws `MR_NAME_INVALID`, and at `next()` `MR_NAME_TAKEN` for a group that this process iterates already, `MR_ABORTED` when the signal
 * aborts, and whatever makes a worker fail.
 */
export function iterateTopic(
  format: TopicFormat,
  context: IterateContext,
  { group: name = format.topic, signal }: IterateOptions,
): AsyncIterableIterator<unknown> {
  const group = `${context.settings.group}-iterate-${validName('group', name)}`;
  let loop: Promise<Loop> | undefined;
  let ended: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ended ??= (async () => {
      try {
        await (await loop?.catch(() => undefined))?.end();
      } finally {
        if (loop !== undefined) context.groups.delete(group);
      }
    })();
    return ended;
  };
  const begin = (): Promise<Loop> => {
    if (context.groups.has(group)) throw taken(group);
    context.groups.add(group);
    return beginLoop(format, group, context);
  };
  const done = { done: true, value: undefined } as const;
  const iterator: AsyncIterableIterator<unknown> = {
    next: async () => {
      if (ended !== undefined) return done;
      try {
        if (signal?.aborted === true) throw abortError(signal);
        loop ??= begin();
        return { done: false, value: await (await loop).next(signal) };
      } catch (error) {
        await end();
        throw error;
      }
    },
    return: async () => {
      await end();
      return done;
    },
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}

async function beginLoop(
  format: TopicFormat,
  group: string,
  { settings: base, broker: open }: IterateContext,
): Promise<Loop> {
  const settings: Settings = {
    ...base,
    group,
    atLeastOnce: true,
    policy: policyOf('fail', 'onError'),
    rename: {},
  };
  const broker = await open();
  const loop = new Loop();
  const declared = new Declared(settings);
  declared.addTopic(format, undefined, false);
  const node = sourceNode('topic', { kind: 'topic', name: format.topic });
  declared.addSource(node, format);
  const run = agentRun(group, {}, settings.commit.drainTimeoutMs);
  childNode([node], {
    kind: 'agent',
    name: 'iterate',
    role: { role: 'sink', target: loop },
    make: agentNode(
      'iterate',
      eachAgent('iterate', (value) => loop.hold(value), [], run),
    ),
  });
  const topology = declared.topology();
  const context: StartContext = {
    settings,
    declared,
    processing: new Processing(),
    reply: () => undefined,
  };
  await prepare(broker, topology, context);
  loop.run(await startWorker(broker, topology, context));
  return loop;
}

/** What stands between a worker and a loop. */
class Loop {
  #worker: Worker | undefined;
  readonly #waiting: Held[] = [];
  #out: Held | undefined;
  #wake: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  run(worker: Worker): void {
    this.#worker = worker;
    worker.run().catch((error: unknown) => {
      this.#failure ??= { error };
      this.#wake?.();
    });
  }

  /** Keeps a value for the loop. Resolves when the loop has finished with it. */
  hold(value: unknown): Promise<void> {
    return new Promise((finish, giveUp) => {
      this.#waiting.push({ value, finish, giveUp });
      this.#wake?.();
    });
  }

  /** The loop has finished with what it has, and wants the next. */
  async next(signal: AbortSignal | undefined): Promise<unknown> {
    this.#out?.finish();
    this.#out = undefined;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (signal?.aborted === true) throw abortError(signal);
      this.#out = this.#waiting.shift();
      if (this.#out !== undefined) return this.#out.value;
      await this.#woken(signal);
    }
  }

  async #woken(signal: AbortSignal | undefined): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    this.#wake = wake;
    signal?.addEventListener('abort', wake, { once: true });
    await promise;
    signal?.removeEventListener('abort', wake);
    this.#wake = undefined;
  }

  /** Commits what is finished, gives up the rest, and leaves the group. */
  async end(): Promise<void> {
    const worker = this.#worker as Worker;
    const tasks = worker.stats.tasks.flatMap((id) => worker.task(id) ?? []);
    const stopped = worker.stop(STOP_MS).catch(() => undefined);
    await Promise.all(tasks.map((task) => commitFinished(task)));
    const gone = new MillraceError('MR_ABORTED', 'the loop has ended');
    for (const held of [...this.#waiting, ...(this.#out === undefined ? [] : [this.#out])])
      held.giveUp(gone);
    await stopped;
  }
}

/** A commit that is under way may have begun before the last event was finished. */
async function commitFinished(task: Task): Promise<void> {
  await Promise.allSettled(task.waits);
  if (task.life !== undefined && task.uncommitted && !task.committing) await task.commit();
}

function taken(group: string): MillraceError {
  return new MillraceError(
    'MR_NAME_TAKEN',
    `this process iterates as group ${group} already, and each of the two would see a part of the records; give one of them another group: iterate({ group: '…' })`,
    { details: { group } },
  );
}
