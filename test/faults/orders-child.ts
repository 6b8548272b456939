/**
 * A process of the orders app. Its parent tells it what to do over their channel; it says on standard output, one line each, what happens,
 * past every buffer, so that what was said counts after a kill.
 *
 * Run: `node -C millrace-source orders-child.ts <work|load> <directory> <OrdersOptions as JSON>`.
 *
 * - A worker hears `start`, `stop`, `end` and `freeze` and says `running`, `stopped`, `frozen <order>`, `thawed`, `gained <task>`,
 *   `released <task>`, `lost <task>`, `commit <task> <events> <ms>` (monotonic, one scale for all processes), `warn <text>` and
 *   `failed <code> <text>`.
 * - A loader hears `{ finish: <orders at least> }` and says `loading <orders>` and `loaded <orders>`.
 */
import { writeSync } from 'node:fs';
import { subscribe } from 'node:diagnostics_channel';
import { realpath } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';

import type { CommitMessage, Logger, Running, TasksMessage } from 'millrace';

import { socketLinks } from '../../src/broker/groups/sockets.ts';
import { logTables, openLog } from '../../src/broker/log/index.ts';
import { sleep, systemClock } from '../../src/core/clock.ts';
import { messageOf } from '../../src/core/errors.ts';
import { systemRandom } from '../../src/core/random.ts';
import type { Kv } from '../../src/kv/kv.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { ordersApp } from './orders-app.ts';
import { orderAt } from './orders.ts';
import type { Order } from './orders.ts';

const [role, directory = '', optionsText = '{}'] = process.argv.slice(2);
const { seed, leaseMs, commitMs, lead, paceMs } = JSON.parse(optionsText) as OrdersOptions;
const clock = systemClock();

/** Transactions of this process that are under way: while there are any it may hold the lock of all writers. */
let transactions = 0;
/** Whether there have been none for a turn of the event loop, so that what they led to has been said. */
let calm = true;
let freezing = false;

const orders = ordersApp(
  directory,
  {
    logger: lineLogger(),
    lease: leaseMs,
    commit: { every: 1_000, interval: commitMs },
  },
  freezeWhenAsked,
);
orders.app['~replace']({
  open: async () => {
    const kv = counted(await openLmdb({ path: directory, tables: logTables }));
    const random = systemRandom();
    const links = socketLinks({ directory: await realpath(directory), clock, random });
    return await openLog({ kv, url: `file:${directory}`, clock, random, links });
  },
});
// A killed process writes no cache at its end.
flushCompileCache();
process.on('disconnect', () => process.exit(3));
process.on('uncaughtException', (error) => {
  say(`failed UNCAUGHT ${messageOf(error)} ${error.stack ?? ''}`);
  process.exit(1);
});
if (role === 'load') await load();
else work();

/** How a process is to behave. */
export interface OrdersOptions {
  readonly seed: number;
  readonly leaseMs: number;
  readonly commitMs: number;
  /** How far the loader is ahead of what the workers have committed, at most. */
  readonly lead: number;
  /** How long it waits after each thousand orders. */
  readonly paceMs: number;
}

function work(): void {
  let running: Running | undefined;
  let doing = Promise.resolve();
  subscribe('millrace:commit', (message) => {
    const { task, events } = message as CommitMessage;
    say(`commit ${task} ${events} ${clock.monotonic().toFixed(1)}`);
  });
  subscribe('millrace:tasks', (message) => {
    const { gained, released, lost } = message as TasksMessage;
    for (const task of gained) say(`gained ${task}`);
    for (const task of released) say(`released ${task}`);
    for (const task of lost) say(`lost ${task}`);
  });
  const start = async (): Promise<void> => {
    running = await orders.app.start();
    running.done.catch(failed);
    say('running');
  };
  const stop = async (): Promise<void> => {
    await running?.stop();
    running = undefined;
    say('stopped');
  };
  const end = async (): Promise<void> => {
    await stop();
    await orders.app.close();
    process.exit(0);
  };
  process.on('message', (message) => {
    if (message === 'freeze') freezing = true;
    const what = { start, stop, end }[String(message)];
    if (what !== undefined) doing = doing.then(what).catch(failed);
  });
  say('ready');
}

async function load(): Promise<void> {
  let until = Infinity;
  process.on('message', (message) => {
    const { finish } = message as { readonly finish: number };
    until = Math.max(finish, n);
  });
  const producer = await orders.orders.producer<number>({ id: 'loader' });
  const broker = await orders.app['~parts']().broker();
  let n = producer.position ?? 0;
  say(`loading ${n}`);
  while (n < until) {
    const order = orderAt(seed, n++);
    const wait = producer.send(order, { key: order.user, position: n });
    if (wait === undefined) continue;
    await wait;
    await sleep(clock, paceMs);
    for (;;) {
      const since = broker.changes();
      if (n - (await committed(broker)) < lead || until < Infinity) break;
      await broker.changed(since, 1_000);
    }
  }
  await producer.close();
  await orders.app.close();
  say(`loaded ${n}`);
  process.exit(0);
}

/** Orders that all who read them have committed. */
async function committed(broker: Awaited<ReturnType<typeof openLog>>): Promise<number> {
  const info = await broker.describeGroup('orders');
  const bySub = new Map<string, number>();
  for (const { id, positions } of info?.tasks ?? []) {
    const sub = id.slice(0, id.lastIndexOf('/'));
    const at = positions.find(({ topic }) => topic === 'orders');
    if (at !== undefined) bySub.set(sub, (bySub.get(sub) ?? 0) + at.offset);
  }
  return bySub.size === 0 ? 0 : Math.min(...bySub.values());
}

/** Stops this process in the middle of an event, but never within a transaction. */
function freezeWhenAsked({ n }: Order): void {
  if (!freezing || !calm) return;
  freezing = false;
  say(`frozen ${n}`);
  process.kill(process.pid, 'SIGSTOP');
  say('thawed');
}

function counted(kv: Kv): Kv {
  return {
    maxKeyBytes: kv.maxKeyBytes,
    get: (table, key) => kv.get(table, key),
    range: (table, range) => kv.range(table, range),
    flush: () => kv.flush(),
    close: () => kv.close(),
    async transact(body) {
      transactions++;
      calm = false;
      try {
        return await kv.transact(body);
      } finally {
        transactions--;
        void clock.turn().then(() => (calm = transactions === 0));
      }
    },
  };
}

function lineLogger(): Logger {
  const line = (_fields: unknown, message: string): void => say(`warn ${message}`);
  return { debug: () => undefined, info: () => undefined, warn: line, error: line };
}

function failed(error: unknown): void {
  const code = (error as { readonly code?: string }).code ?? 'UNKNOWN';
  say(`failed ${code} ${messageOf(error)}`);
  process.exit(1);
}

function say(line: string): void {
  writeSync(1, `${line.replaceAll('\n', ' ')}\n`);
}
