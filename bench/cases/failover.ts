/**
 * kill -9 of one of three workers, again and again, while events come in: how long until others have committed for each of its tasks.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { App } from 'millrace';

import { Hand, monotonicMs } from '../lib/crew.ts';
import type { Said } from '../lib/crew.ts';
import type { Figures } from '../lib/figures.ts';
import { beMember } from '../lib/member.ts';
import { paymentAt, paymentsApp, paymentsTopic } from '../lib/payments.ts';
import type { Case } from '../lib/stage.ts';

const WORKERS = 3;
const PARTITIONS = 8;
const ACCOUNTS = 10_000;
/** How many events come in at a time, and how often. */
const BURST = 200;
const EVERY_MS = 10;
/** How long all workers are left in peace before the next kill. */
const PEACE_MS = 500;

/** Members, and what they have said. */
class Crew {
  readonly #directory: string;
  readonly #hands: Hand[] = [];
  readonly #tasks = new Map<Hand, readonly string[]>();
  onCommit: (by: Hand, task: string, said: Said) => void = () => undefined;
  #onShared: (() => void) | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  hire(): void {
    const hand = new Hand('failover', 'member', this.#directory);
    this.#hands.push(hand);
    hand.onSaid = (said) => {
      const { kind, tasks = [] } = said;
      if (kind === 'ready') hand.tell('start');
      if (kind === 'commit') for (const task of tasks) this.onCommit(hand, task, said);
      if (kind !== 'tasks') return;
      this.#tasks.set(hand, tasks);
      if (this.#isShared()) this.#onShared?.();
    };
  }

  /** Resolves when every member has its share of the tasks. */
  async shared(): Promise<void> {
    if (!this.#isShared()) await new Promise<void>((resolve) => (this.#onShared = resolve));
  }

  #isShared(): boolean {
    const counts = this.#hands.map((hand) => this.#tasks.get(hand)?.length ?? 0);
    const all = counts.reduce((sum, count) => sum + count, 0);
    return all === PARTITIONS && Math.min(...counts) >= Math.floor(PARTITIONS / WORKERS);
  }

  /** Kills the one that is there longest; gives when, and its tasks. */
  kill(): { readonly hand: Hand; readonly tasks: readonly string[]; readonly at: number } {
    const hand = this.#hands.shift() as Hand;
    const tasks = this.#tasks.get(hand) ?? [];
    return { hand, tasks, at: hand.kill() };
  }

  async end(): Promise<void> {
    await Promise.all(this.#hands.map((hand) => hand.end()));
  }
}

async function failover(directory: string, kills: number): Promise<Figures> {
  const loading = new AbortController();
  const crew = new Crew(directory);
  const loaded = load(directory, loading.signal);
  for (let i = 0; i < WORKERS; i++) crew.hire();
  const times: number[] = [];
  for (let i = 0; i < kills; i++) {
    await crew.shared();
    await sleep(PEACE_MS);
    times.push(await takeOver(crew));
    crew.hire();
  }
  await crew.shared();
  loading.abort();
  await loaded;
  await crew.end();
  return { maxMs: Math.max(...times), leastMs: Math.min(...times), kills };
}

/** From a kill until others have committed for each task of the dead. */
async function takeOver(crew: Crew): Promise<number> {
  const { hand, tasks, at } = crew.kill();
  const left = new Set(tasks);
  return await new Promise((resolve) => {
    crew.onCommit = (by, task, said) => {
      // What it has said before the kill may be heard later.
      if (by === hand || !left.delete(task) || left.size > 0) return;
      crew.onCommit = () => undefined;
      resolve(said.at - at);
    };
  });
}

/** Payments at an even pace, so that every task always has something to do. */
async function load(directory: string, until: AbortSignal): Promise<void> {
  const app = new App('payments', { broker: `file:${directory}` });
  const producer = await paymentsTopic(app, PARTITIONS).producer({ id: 'bench' });
  const startedAt = monotonicMs();
  for (let n = 0, turn = 1; !until.aborted; turn++) {
    for (let i = 0; i < BURST; i++, n++) {
      const payment = paymentAt(n, { accounts: ACCOUNTS });
      const wait = producer.send(payment, { key: payment.account });
      if (wait !== undefined) await wait;
    }
    const dueAt = startedAt + turn * EVERY_MS;
    await sleep(Math.max(0, dueAt - monotonicMs()));
  }
  await producer.close();
  await app.close();
}

const cases: Case = {
  name: 'failover',
  title: 'kill -9 of one of three workers until others have committed for each of its tasks',
  parts: {
    failover: (directory, { kills }) => failover(directory, Number(kills)),
    member: (directory) =>
      beMember(paymentsApp({ broker: `file:${directory}` }).app, { commits: true }),
  },
  run(stage) {
    const figures = stage.once('failover', { kills: 5 });
    stage.figures('20,000 events/s', figures);
    stage.goal({ what: 'failover', value: figures['maxMs'] ?? Infinity, unit: 'ms', most: 2_000 });
  },
};
export default cases;
