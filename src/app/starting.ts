/**
 * From declarations to a running worker: topics are created, the group is joined, the tasks that it gives are made.
 *
 * @module
 */
import type { Broker, OwnedTask } from '../broker/broker.ts';
import { msgpack } from '../codec/msgpack.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import { FrameShare } from '../runtime/frame-share.ts';
import { Turns } from '../runtime/turns.ts';
import { Task } from '../runtime/task.ts';
import type { Reply, TaskOptions } from '../runtime/task-options.ts';
import { Worker } from '../runtime/worker.ts';
import type { TasksChange } from '../runtime/worker.ts';
import type { Processing } from '../table/processing.ts';
import { checkChange, fingerprint } from '../topology/compare.ts';
import { storedName } from '../topology/rename.ts';
import type { SubTopology, Topology } from '../topology/topology.ts';
import type { Declared } from './declared.ts';
import type { Settings } from './options.ts';

/** What starting a worker takes. */
export interface StartContext {
  readonly settings: Settings;
  readonly declared: Declared;
  readonly processing: Processing;
  readonly reply: Reply;
  readonly onTasks?: ((change: TasksChange) => Promise<void>) | undefined;
  /** Told of a task that has loaded its state, and how many rows each of its tables has in memory. */
  readonly onRecovered?:
    | ((task: string, rows: ReadonlyMap<string, number>) => Promise<void>)
    | undefined;
  readonly beat?: ((label: string) => void) | undefined;
}

/** Creates what the app needs on its broker. @throws as `App.start`. */
export async function prepare(
  broker: Broker,
  topology: Topology,
  { settings, declared }: StartContext,
): Promise<void> {
  const { id, group, rename } = settings;
  checkCapabilities(broker, settings);
  const stored = (await broker.describeGroup(group))?.topology;
  checkChange(id, stored, fingerprint(topology, rename));
  for (const spec of declared.internalTopics(topology)) await broker.createTopic(spec);
}

/** Joins the app's group, and loads the tasks that are this worker's at once. */
export async function startWorker(
  broker: Broker,
  topology: Topology,
  context: StartContext,
): Promise<Worker> {
  const { settings } = context;
  const { group, clock, logger } = settings;
  const subs = new Map(topology.subTopologies.map((sub) => [sub.name, sub]));
  const ours = fingerprint(topology, settings.rename);
  let worker: Worker | undefined = undefined;
  const membership = await broker.join(group, {
    tasks: topology.subTopologies.flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ id: `${name}/${partition}` })),
    ),
    topology: ours,
    leaseMs: settings.leaseMs,
    answer: async (task, question) => {
      const owner = worker?.task(task);
      if (owner === undefined) throw noOwner(task);
      return await owner.answer(question);
    },
  });
  const common = {
    share: new FrameShare(sharedTopics(topology.subTopologies)),
    checkpointTurns: new Turns(),
  };
  const owners = new Map(
    topology.subTopologies.flatMap(({ name, tables }) =>
      tables.map((table) => [storedName(table, settings.rename), name] as const),
    ),
  );
  const made = new Worker({
    broker,
    membership,
    clock,
    group,
    subTopologies: topology.subTopologies,
    fingerprint: ours,
    retryForMs: settings.retryForMs,
    drainTimeoutMs: settings.commit.drainTimeoutMs,
    stallAfterMs: settings.stallAfterMs,
    onOffsetLost: settings.onOffsetLost,
    warn: (message) => logger.warn({ group, member: membership.member }, message),
    onTasks: context.onTasks,
    onRecovered: async (id) =>
      context.onRecovered?.(id, loadedRows(context, subOf(subs, { id }), worker?.task(id))),
    beat: context.beat,
    makeTask: (owned) =>
      makeTask(context, broker, membership, subOf(subs, owned), owned, owners, common, () =>
        worker?.wakeUp(),
      ),
  });
  worker = made;
  try {
    await made.begin();
  } catch (error) {
    await made.end();
    throw error;
  }
  return made;
}

/** Rows in memory of the tables that live in a task, by their declared names. */
function loadedRows(
  { settings, declared }: StartContext,
  { tables }: SubTopology,
  task: Task | undefined,
): Map<string, number> {
  const state = task?.life?.state;
  const stored = state?.names() ?? [];
  const rows = new Map<string, number>();
  for (const table of declared.parts.tables.keys()) {
    const name = storedName(table, settings.rename);
    // Agents use tables that no stream declares.
    if (tables.includes(table) || stored.includes(name)) rows.set(table, state?.rowsOf(name) ?? 0);
  }
  return rows;
}

function makeTask(
  { settings, declared, processing, reply }: StartContext,
  broker: Broker,
  membership: Awaited<ReturnType<Broker['join']>>,
  sub: SubTopology,
  owned: OwnedTask,
  owners: Map<string, string>,
  common: Pick<TaskOptions, 'share' | 'checkpointTurns'>,
  wake: () => void,
): Task {
  const { group, clock, commit, atLeastOnce, startFrom, onOffsetLost, policy, cacheRows } =
    settings;
  return new Task(
    {
      group,
      sub,
      partition: Number(owned.id.slice(owned.id.lastIndexOf('/') + 1)),
      broker,
      membership,
      clock,
      processing,
      commit,
      atLeastOnce,
      startFrom,
      onOffsetLost,
      policy,
      cacheRows,
      format: (topic) => declared.format(topic),
      readable: (topic) => declared.readable(topic),
      stateCodec: msgpack,
      own: (table) => own(owners, table, sub.name),
      stored: (table) => storedName(table, settings.rename),
      table: (stored) => declared.rowFormat(stored),
      window: (table) => ({ codec: declared.codecOf(table), window: declared.windowOf(table) }),
      ...common,
      reply,
      wake,
    },
    owned,
  );
}

/** @throws `MR_TABLE_OWNED` */
function own(owners: Map<string, string>, table: string, by: string): void {
  const owner = owners.get(table);
  if (owner === undefined) owners.set(table, by);
  else if (owner !== by)
    throw new MillraceError(
      'MR_TABLE_OWNED',
      `table ${table} is used by ${by}, but its rows live in the tasks of ${owner}; use one table for each, or do both in one place`,
      { details: { table, owner, by } },
    );
}

function subOf(subs: ReadonlyMap<string, SubTopology>, { id }: Pick<OwnedTask, 'id'>): SubTopology {
  const sub = subs.get(id.slice(0, id.lastIndexOf('/')));
  if (sub === undefined)
    throw new MillraceError('MR_INTERNAL', `task ${id} belongs to no part of the app`, {
      domain: 'internal',
    });
  return sub;
}

/** Topics that several parts of the app read: what one of them has decoded the others take over. */
function sharedTopics(subs: readonly SubTopology[]): ReadonlySet<string> {
  const seen = new Set<string>();
  const shared = new Set<string>();
  for (const { inputs } of subs)
    for (const { topic } of inputs) {
      if (seen.has(topic)) shared.add(topic);
      seen.add(topic);
    }
  return shared;
}

/** Asking for more than a broker can do is an error at start. */
function checkCapabilities(broker: Broker, { id, atLeastOnce }: Settings): void {
  if (atLeastOnce || broker.capabilities.exactlyOnce) return;
  throw new MillraceError(
    'MR_OPTION_INVALID',
    `app ${id} is exactly-once, which ${broker.url} cannot be; give it processing: 'at-least-once', or another broker`,
    { details: { app: id, broker: broker.url } },
  );
}

function noOwner(task: string): MillraceError {
  return new MillraceError(
    'MR_NO_OWNER',
    `task ${task} is not at this worker (any more); ask again`,
    { domain: 'external', retryable: true, details: { task } },
  );
}

/**
 * Housekeeping of the broker, now and then, for as long as the app runs. A round that fails is told of and tried again at its time.
 */
export async function housekeep(
  broker: Broker,
  settings: Settings,
  signal: AbortSignal,
  pause: (delayMs: number, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { maintainEveryMs, groupExpiryMs, logger } = settings;
  while (!signal.aborted) {
    try {
      await pause(maintainEveryMs, signal);
      await broker.maintain({ notWithinMs: maintainEveryMs / 2, groupExpiryMs, signal });
    } catch (error) {
      if (signal.aborted) return;
      logger.warn(
        { error, broker: broker.url },
        `housekeeping failed: ${messageOf(error)}; it is tried again in ${maintainEveryMs} ms`,
      );
    }
  }
}
