/** One machine in virtual time: apps on one store in memory, each with a broker of its own, as processes on one directory have them. */
import { App, seededRandom, VirtualClock } from '../../src/index.ts';
import type { AppOptions } from '../../src/index.ts';
import { LocalHub } from '../../src/broker/groups/local-links.ts';
import { logTables, openLog } from '../../src/broker/log/index.ts';
import { simulatedKv } from '../../src/kv/simulated/simulated.ts';
import type { SimulatedKv } from '../../src/kv/simulated/simulated.ts';
import { logTo } from './support.ts';

export class Machine {
  readonly clock: VirtualClock = new VirtualClock(1_000_000);
  readonly warnings: string[] = [];
  readonly #kv: SimulatedKv = simulatedKv({ tables: logTables, clock: this.clock });
  readonly #hub = new LocalHub();
  readonly #apps: App[] = [];

  /** An app as another process has it. */
  app(id: string, options: AppOptions = {}): App {
    const { clock } = this;
    const app = new App(id, { clock, logger: logTo(this.warnings), ...options });
    app['~replace']({
      open: async () =>
        await openLog({
          kv: this.#kv.reopen(),
          url: 'memory:machine',
          clock,
          random: seededRandom(1),
          links: this.#hub.open(),
          durable: false,
        }),
    });
    this.#apps.push(app);
    return app;
  }

  /** Lets time pass until `done` says so, or has settled. */
  async until<T>(done: Promise<T> | (() => boolean), stepMs = 20): Promise<T | undefined> {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    if (typeof done !== 'function') done.then(mark, mark);
    for (let i = 0; typeof done === 'function' ? !done() : !settled; i++) {
      if (i === 5_000) throw new Error('it does not come about');
      await this.clock.advance(stepMs);
    }
    return typeof done === 'function' ? undefined : await done;
  }

  async close(): Promise<void> {
    for (const app of this.#apps) await this.until(app.close().catch(() => undefined));
  }
}

/** Runs `body` on a machine, and ends everything on it whatever happens. */
export async function withMachine(body: (machine: Machine) => Promise<void>): Promise<void> {
  const machine = new Machine();
  try {
    await body(machine);
  } finally {
    await machine.close();
  }
}
