/**
 * Runs a script: an agent whose handler changes rows of its own key and rows that all events of its task share, in place too, sends, forwards and
 * yields, with waits between, and fails as often as an event says.
 */
import { encodeKey } from '../../src/codec/key.ts';
import { partitionOf } from '../../src/codec/partition.ts';
import { sleep } from '../../src/core/clock.ts';
import { App, MillraceError, unchecked } from '../../src/index.ts';
import type { AgentContext, Schema, Stream, StreamEvent } from '../../src/index.ts';
import { seededFaults, seededRandom, TestApp } from '../../src/testing/index.ts';
import type { TestFault } from '../../src/testing/index.ts';
import { guards, LEAST_BUFFERED, policies } from './agent-script.ts';
import type { Form, Job, Script } from './agent-script.ts';

/** What the handler says of an event. */
export interface Told {
  readonly id: number;
  /** How many of its task have changed the shared row, itself included. */
  readonly place: number;
  readonly number: number | undefined;
}

interface Note extends Told {
  readonly ballast: string;
}

/** What an event has seen of the row that all of its task share. */
export interface Look {
  readonly id: number;
  readonly ids: readonly number[];
}

interface List {
  readonly ids: number[];
}

/** What is stored in the end. */
export interface Left {
  /** What the app failed with. */
  readonly failure: unknown;
  /** What was sent, in the order of each key. */
  readonly inbox: readonly number[];
  /** By shared row: how often it was changed, by whom, and how often behind the wait. */
  readonly sums: ReadonlyMap<string, number>;
  readonly lists: ReadonlyMap<string, readonly number[]>;
  readonly later: ReadonlyMap<string, number>;
  /** By key. */
  readonly own: ReadonlyMap<string, readonly number[]>;
  readonly counted: ReadonlyMap<string, number>;
  readonly second: ReadonlyMap<string, readonly number[]>;
  readonly results: readonly Told[];
  readonly notes: readonly Told[];
  readonly looks: readonly Look[];
  readonly copies: readonly number[];
  readonly dead: readonly number[];
  readonly deadInFront: readonly number[];
  readonly answers: ReadonlyMap<number, unknown>;
  /** Undefined when the app has failed. */
  readonly stats: { readonly skipped: number; readonly deadLettered: number } | undefined;
  /** Whether something was killed or failed from outside, or a task has moved. */
  readonly disturbed: boolean;
}

/** The row that all events of a task share. */
export function sharedKey(partition: number, partitions: number): string {
  for (let i = 0; ; i++) {
    const key = `all ${i}`;
    if (partitionOf(encodeKey(key), partitions) === partition) return key;
  }
}

export function givesNumbers({ front }: Form): boolean {
  return front !== 'nothing' && front !== 'filter';
}

const keyed = <V>(): { key: Schema<string>; value: Schema<V> } => ({
  key: unchecked<string>(),
  value: unchecked<V>(),
});

/** What the handler has to do with the world. */
interface Around {
  readonly log: (line: string) => void;
  /** Somewhere in the middle of something. */
  readonly moment: () => void;
  readonly wait: (ms: number) => Promise<void>;
}

function declare(form: Form, { log, moment, wait }: Around) {
  const { concurrency, front, guard, kind, partitions } = form;
  const app = new App('bench', {
    broker: 'memory:',
    processing: form.atLeastOnce ? 'at-least-once' : 'exactly-once',
    commit: { every: form.every, interval: form.intervalMs, maxBufferedBytes: LEAST_BUFFERED },
    onError: guard === 'app' ? guards['retry, deadLetter'] : 'fail',
  });
  const topics = {
    inbox: app.topic('inbox', { ...keyed<Job>(), partitions }),
    results: app.topic('results', keyed<Told>()),
    notes: app.topic('notes', keyed<Note>()),
    looks: app.topic('looks', keyed<Look>()),
    copies: app.topic('copies', keyed<Job>()),
    dead: app.topic('dead', keyed<Job>()),
    deadInFront: app.topic('dead-in-front', keyed<Job>()),
  };
  const none = (): List => ({ ids: [] });
  const tables = {
    sums: app.table('sums', { default: () => 0 }),
    lists: app.table('lists', { default: none }),
    later: app.table('later', { default: () => 0 }),
    own: app.table('own', { default: none }),
    counted: app.table('counted', { default: () => 0 }),
    second: app.table('second', { default: none }),
    numbers: app.table('numbers', { default: () => 0 }),
  };
  const { inbox, notes, looks, copies } = topics;

  const failAtFirst = (
    calls: Map<number, number>,
    id: number,
    times: number,
    what: string,
  ): void => {
    const call = (calls.get(id) ?? 0) + 1;
    calls.set(id, call);
    if (call > times) return;
    log(`${id} fails ${what}, time ${call}`);
    throw new Error(`event ${id} fails ${what}, time ${call}`);
  };
  const calls = new Map<number, number>();
  const callsInFront = new Map<number, number>();
  const push =
    (id: number) =>
    (list: List): List => {
      // In place, as people do.
      list.ids.push(id);
      return list;
    };
  const shared = ({ task }: AgentContext): string => sharedKey(task.partition, partitions);

  const change = (
    { id, key, number, ballast }: Job,
    context: AgentContext,
    event: StreamEvent<Job, string> | undefined,
  ): Told => {
    log(`${id} (${key})`);
    const place = tables.sums.update(shared(context), (n) => n + 1);
    tables.lists.update(shared(context), push(id));
    // The events of a group have keys of each other.
    if (kind === 'take') tables.own.update(key, push(id));
    else tables.own.set(key, push(id)(tables.own.get(key)));
    const told = { id, place, number };
    void notes.send({ ...told, ballast: 'x'.repeat(ballast) }, { key });
    event?.forward(copies);
    return told;
  };
  const changeLater = ({ id, key, looks: isLooking }: Job, context: AgentContext): void => {
    if (isLooking) void looks.send({ id, ids: tables.lists.get(shared(context)).ids }, { key });
    tables.later.update(shared(context), (n) => n + 1);
  };
  const handle = async (
    job: Job,
    context: AgentContext,
    event: StreamEvent<Job, string> | undefined,
  ): Promise<Told> => {
    moment();
    if (job.before > 0) await context.sleep(job.before);
    const told = change(job, context, event);
    moment();
    if (job.after > 0) await context.sleep(job.after);
    changeLater(job, context);
    moment();
    failAtFirst(calls, job.id, job.fails, 'at last');
    return told;
  };

  const numbered = (given: Stream<Job, string>): Stream<Job, string> =>
    given.events().map(({ value, partition }) => {
      const { id, key, failsInFront } = value;
      tables.counted.update(key, (n) => n + 1);
      const number = tables.numbers.update(sharedKey(partition, partitions), (n) => n + 1);
      if (guard !== 'none') failAtFirst(callsInFront, id, failsInFront, 'in front');
      return Object.assign({}, value, { number });
    });
  const guarded = (given: Stream<Job, string>): Stream<Job, string> =>
    guard === 'none' || guard === 'app' ? given : given.onError(guards[guard]);
  const slowly = async (job: Job): Promise<Job> => {
    if (job.before > 0) await wait(job.before);
    return job;
  };
  const stream = inbox.stream();
  const source: Stream<Job, string> = {
    nothing: () => stream,
    filter: () => stream.filter(({ id }) => id % 3 !== 0),
    state: () => numbered(guarded(stream)),
    slow: () => numbered(guarded(stream).map(slowly)),
    groupBy: () => numbered(guarded(stream.groupBy(({ key }) => key, { name: 'again' }))),
  }[front]();
  if (form.second && givesNumbers(form))
    app.each(
      'second',
      source,
      async ({ id, key, after, before }, _, context) => {
        await context.sleep(after);
        tables.second.update(key, push(id));
        await context.sleep(before);
      },
      { concurrency: 3 },
    );

  const from = front === 'nothing' ? inbox : source;
  const onError = policies[form.policy];
  const yielding = { concurrency, onError, sinks: [topics.results] };
  const silent = { concurrency, onError };
  const agent = {
    each: () =>
      app.each('handler', from, (job, event, context) => handle(job, context, event), yielding),
    'sync each': () =>
      app.each(
        'handler',
        from,
        (job, event, context) => {
          moment();
          const told = change(job, context, event);
          changeLater(job, context);
          failAtFirst(calls, job.id, job.fails, 'at last');
          return told;
        },
        yielding,
      ),
    agent: () =>
      app.agent(
        'handler',
        from,
        async function* (events, context) {
          for await (const event of events.events())
            yield await handle(event.value, context, event);
        },
        yielding,
      ),
    take: () =>
      app.agent(
        'handler',
        from,
        async function* (events, context) {
          for await (const group of events.take(3, { within: 40 })) {
            let told: Told | undefined;
            for (const job of group) told = await handle(job, context, undefined);
            if (told !== undefined) yield told;
          }
        },
        silent,
      ),
    manual: () =>
      app.agent(
        'handler',
        from,
        // oxlint-disable-next-line require-yield -- it has nothing to say, and is one of the forms of a body
        async function* (events, context) {
          for await (const event of events.events({ ack: 'manual' })) {
            const job = event.value;
            moment();
            change(job, context, event);
            changeLater(job, context);
            const settle = (): void => {
              moment();
              try {
                failAtFirst(calls, job.id, job.fails, 'at last');
                event.ack();
              } catch (error) {
                event.nack(error);
              }
            };
            if (job.after === 0) settle();
            else void context.sleep(job.after).then(settle, () => undefined);
          }
        },
        silent,
      ),
  }[kind]();
  return { app, agent, topics, tables };
}

const faults: readonly TestFault[] = [
  { fail: 'before' },
  { fail: 'after' },
  { fail: 'disk-full' },
  { delayMs: 40 },
  { delayMs: 2_000, fail: 'after' },
  { fail: 'before', crash: true },
  { fail: 'after', crash: true },
];

/** Runs a script, and tells what is left. */
export async function runScript(
  { form, storm, jobs }: Script,
  log: (line: string) => void = () => undefined,
): Promise<Left> {
  let disturbed = false;
  let moments = 0;
  let running: TestApp | undefined;
  const noted = (line: string): void => log(`${running?.clock.monotonic() ?? 0} ms: ${line}`);
  const disturb = (what: string): void => {
    disturbed = true;
    noted(what);
  };
  const bench = declare(form, {
    log: noted,
    moment: () => {
      if (!storm.crashes.includes(moments++) || running === undefined || running.workers === 0)
        return;
      disturb('crash');
      running.crash(moments % running.workers).catch(() => undefined);
    },
    wait: (ms) => sleep((running as TestApp).clock, ms),
  });
  const { topics, tables, agent } = bench;
  const plan = seededFaults({
    random: seededRandom(storm.faults),
    chance: storm.faults === 0 ? 0 : 0.15,
    faults,
    calls: ['commit', 'append', 'release'],
    most: 12,
  });
  let isFailing = false;
  await using t = await TestApp.start(bench.app, {
    workers: storm.workers,
    seed: storm.faults,
    // Nothing is promised of a start that fails.
    faults: (call) => {
      const fault = isFailing ? plan(call) : undefined;
      if (fault !== undefined) disturb(`${call.call} ${JSON.stringify(fault)}`);
      return fault;
    },
  });
  running = t;
  isFailing = true;
  const answers = new Map<number, unknown>();
  let asking = 0;
  const send = async (job: Job): Promise<void> => {
    const { id, key } = job;
    if (!isAsked(form, job)) {
      await topics.inbox.send(job, { key });
      return;
    }
    asking++;
    void agent
      .ask(job, { key, timeout: '10d' })
      .catch((error: unknown) => error)
      .then((answer) => answers.set(id, answer))
      .finally(() => asking--);
  };
  let failure: unknown;
  try {
    const parts = Math.max(1, storm.moves.length);
    const size = Math.ceil(jobs.length / parts);
    for (let part = 0; part < parts; part++) {
      await Promise.all(jobs.slice(part * size, (part + 1) * size).map(send));
      const move = storm.moves[part] ?? 'none';
      const add = (move === 'add' || move === 'both') && t.workers < 5 ? 1 : 0;
      const remove = (move === 'remove' || move === 'both') && t.workers > 1 ? 1 : 0;
      if (add + remove > 0) {
        disturb(move);
        await t.rebalance({ add, remove }).catch((error: unknown) => {
          // Somebody has died meanwhile.
          if (!MillraceError.is(error) || error.code !== 'MR_ARGUMENT_INVALID') throw error;
        });
      }
      await t.settled();
    }
    isFailing = false;
    await t.settled();
    // Questions and answers travel beside the tasks.
    for (let i = 0; asking > 0 && i < 5; i++) await t.advance('2s');
  } catch (error) {
    isFailing = false;
    failure = error;
  }
  const rows = async <V>(table: { snapshot(): AsyncIterable<[string, V]> }) =>
    new Map(await Array.fromAsync(table.snapshot()));
  const lists = async (table: { snapshot(): AsyncIterable<[string, List]> }) =>
    new Map((await Array.fromAsync(table.snapshot())).map(([key, { ids }]) => [key, ids]));
  const values = async <V>(topic: Parameters<typeof t.output<string, V>>[0]): Promise<V[]> =>
    (await t.output(topic)).map(({ value }) => value);
  const ids = async <V extends { readonly id: number }>(
    topic: Parameters<typeof t.output<string, V>>[0],
  ): Promise<number[]> => (await values(topic)).map(({ id }) => id);
  return {
    failure,
    inbox: await ids(topics.inbox),
    sums: await rows(tables.sums),
    lists: await lists(tables.lists),
    later: await rows(tables.later),
    own: await lists(tables.own),
    counted: await rows(tables.counted),
    second: await lists(tables.second),
    results: await values(topics.results),
    notes: (await values(topics.notes)).map(({ id, place, number }) => ({ id, place, number })),
    looks: await values(topics.looks),
    copies: await ids(topics.copies),
    dead: await ids(topics.dead),
    deadInFront: await ids(topics.deadInFront),
    answers,
    stats: failure === undefined ? t.stats : undefined,
    disturbed,
  };
}

/** Whether an event is a question: the agent must be one that can be asked. */
export function isAsked({ front, kind }: Form, { asked }: Job): boolean {
  return asked && front === 'nothing' && kind !== 'manual';
}
