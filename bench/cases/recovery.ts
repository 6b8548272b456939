/**
 * Loading the state of tasks: from the changelog alone, and from a checkpoint.
 *
 * @module
 */
import type { App } from 'millrace';

import type { Broker } from '../../src/broker/broker.ts';
import { checkpointStep } from '../../src/state/checkpoint.ts';
import { recover } from '../../src/state/recovery.ts';
import { changelogTopic } from '../../src/topology/topology.ts';
import { measured } from '../lib/figures.ts';
import type { Figures } from '../lib/figures.ts';
import { fillPayments, paymentsApp } from '../lib/payments.ts';
import type { Case } from '../lib/stage.ts';

/** As many as `cacheRows` is by default. */
const CACHE_ROWS = 250_000;

interface StoredState {
  readonly changelog: string;
  readonly partition: number;
  readonly stateId: number;
}

/** Works through an input of distinct accounts and takes no checkpoint: the changelogs have one entry per account. */
async function fill(directory: string, accounts: number): Promise<Figures> {
  await fillPayments(directory, { events: accounts, accounts });
  const { app } = paymentsApp({ broker: `file:${directory}`, cacheRows: accounts * 2 });
  const { commit } = app['~replace']({});
  app['~replace']({ commit: { ...commit, checkpointEntries: accounts * 2 } });
  const running = await app.start();
  await running.settled();
  await running.stop();
  await app.close();
  return {};
}

async function checkpoint(directory: string): Promise<Figures> {
  const { app } = paymentsApp({ broker: `file:${directory}` });
  for (const [broker, { changelog, partition, stateId }] of await statesOf(app))
    while (!(await checkpointStep(broker, changelog, partition, stateId)).complete);
  await app.close();
  return {};
}

async function recoverAll(directory: string): Promise<Figures> {
  const { app } = paymentsApp({ broker: `file:${directory}` });
  const states = await statesOf(app);
  const recovered: unknown[] = [];
  return await measured(async () => {
    let count = 0;
    for (const [broker, { changelog, partition, stateId }] of states) {
      const { state, entries } = await recover(broker, changelog, partition, stateId, {
        cacheRows: CACHE_ROWS,
      });
      // A worker keeps all of them.
      recovered.push(state);
      count += entries;
    }
    return count;
  });
}

/** The least that recovery has to do: read the frames of the changelog, and put key and value of every entry into the `Map` of its task. */
async function limit(directory: string): Promise<Figures> {
  const { app } = paymentsApp({ broker: `file:${directory}` });
  const states = await statesOf(app);
  const recovered: Map<string, Uint8Array | null>[] = [];
  return await measured(async () => {
    let count = 0;
    for (const [broker, { changelog, partition }] of states) {
      const rows = new Map<string, Uint8Array | null>();
      recovered.push(rows);
      const reader = broker.reader(changelog, partition, 0);
      for (;;) {
        const frame = await reader.next();
        if (frame === undefined) break;
        for (let i = 0; i < frame.count; i++)
          rows.set(
            frame.bytes.toString('latin1', frame.keyStart(i), frame.keyEnd(i)),
            frame.value(i),
          );
        count += frame.count;
      }
    }
    return count;
  });
}

async function statesOf(app: App): Promise<readonly (readonly [Broker, StoredState])[]> {
  const parts = app['~parts']();
  const { group } = parts;
  const broker = await parts.broker();
  const { tasks } = (await broker.describeGroup(group)) ?? { tasks: [] };
  return tasks.map(({ id, stateId }) => {
    const slash = id.lastIndexOf('/');
    const changelog = changelogTopic(group, id.slice(0, slash));
    return [broker, { changelog, partition: Number(id.slice(slash + 1)), stateId }];
  });
}

const recovery: Case = {
  name: 'recovery',
  title: 'loading the rows of 8 tasks',
  parts: {
    fill: (directory, { accounts }) => fill(directory, Number(accounts)),
    checkpoint,
    recover: recoverAll,
    limit,
  },
  run(stage) {
    const accounts = stage.size(1_000_000);
    const logged = stage.make('input', 'fill', { accounts });
    const limitFigures = stage.best('limit', logged);
    const fromLog = stage.best('recover', logged);
    stage.make('input', 'checkpoint');
    const fromCheckpoint = stage.best('recover', logged);
    stage.throughput('limit: read frames, fill a Map', limitFigures, limitFigures);
    stage.throughput('changelog entries, no checkpoint', fromLog, limitFigures);
    stage.throughput('rows of a checkpoint', fromCheckpoint, limitFigures);
    stage.goal({
      what: 'recovery from the changelog',
      value: fromLog['perSecond'] ?? 0,
      unit: 'entries/s',
      least: 1_000_000,
    });
    stage.goal({
      what: 'recovery from a checkpoint',
      value: fromCheckpoint['perSecond'] ?? 0,
      unit: 'rows/s',
      least: 1_000_000,
    });
  },
};
export default recovery;
