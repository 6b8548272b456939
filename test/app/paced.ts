/** An app in memory whose time a test moves in small steps, so that calls that take long, commits and waits come in their order. */
import type { App, AppOptions, Running, Topic, VirtualClock } from '../../src/index.ts';
import { bench, close, keyed } from './support.ts';

const STEP_MS = 10;
const MOST_STEPS = 100_000;

export class Paced {
  readonly app: App;
  readonly clock: VirtualClock;
  readonly warnings: string[];
  #running: Running | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: AppOptions) {
    const { app, clock, warnings } = bench('paced', { stallAfter: '1h', ...options });
    this.app = app;
    this.clock = clock;
    this.warnings = warnings;
  }

  /** A topic of numbers under text keys. */
  numbers(name = 'numbers', partitions = 1): Topic<string, number> {
    return this.app.topic(name, { ...keyed<number>(), partitions });
  }

  async start(): Promise<Running> {
    const running = await this.app.start();
    this.#running = running;
    running.done.catch((error: unknown) => {
      this.#failure = { error };
    });
    return running;
  }

  get running(): Running {
    if (this.#running === undefined) throw new Error('the app was not started');
    return this.#running;
  }

  /** Lets time pass. @throws what the worker fails with. */
  async for(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += STEP_MS) {
      await this.clock.advance(Math.min(STEP_MS, ms - at));
      this.throwFailure();
    }
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Lets time pass until it is so. */
  async until(what: () => boolean | Promise<boolean>): Promise<void> {
    for (let i = 0; !(await what()); i++) {
      if (i === MOST_STEPS) throw new Error(`not so after ${MOST_STEPS * STEP_MS} ms`);
      await this.for(STEP_MS);
    }
  }

  /** Lets time pass until it has settled. */
  async wait<T>(promise: Promise<T>): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    promise.then(end, end);
    for (let i = 0; !over; i++) {
      if (i === MOST_STEPS) throw new Error(`not settled after ${MOST_STEPS * STEP_MS} ms`);
      await this.clock.advance(STEP_MS);
    }
    return await promise;
  }

  /** Everything is processed and committed. */
  async settled(): Promise<void> {
    await this.wait(this.running.settled());
  }

  async stop(): Promise<void> {
    await this.wait(this.running.stop());
  }

  /** What the worker fails with, sooner or later. */
  async failure(): Promise<Error> {
    try {
      await this.wait(this.running.done);
    } catch (error) {
      return error as Error;
    }
    throw new Error('the worker did not fail');
  }

  async end(): Promise<void> {
    await this.wait(close(this.app));
  }
}

/** Runs `body` with an app that is closed afterwards. */
export async function paced<T>(
  options: AppOptions,
  body: (paced: Paced) => Promise<T>,
): Promise<T> {
  const made = new Paced(options);
  try {
    return await body(made);
  } finally {
    await made.end();
  }
}

/** Sends values in their order, at once. */
export async function sendAll<V>(
  topic: Topic<string, V>,
  values: readonly V[],
  key: (value: V) => string = () => 'k',
): Promise<void> {
  await Promise.all(values.map((value) => topic.send(value, { key: key(value) })));
}

/** 0, 1, … */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}
