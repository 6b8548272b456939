/**
 * Handlers that change tables, send and yield before they throw, in every form that an app can have them, and the plain model of what must
 * be left of them under each policy.
 */
import { App, unchecked } from '../../src/index.ts';
import type { AppOptions, OnError, Schema, Stream, Table, Topic } from '../../src/index.ts';
import { TestApp } from '../../src/testing/index.ts';
import type { TestAppOptions, TestRecord } from '../../src/testing/index.ts';

/** An event: it fails so many times. */
export interface Work {
  readonly id: number;
  readonly key: string;
  readonly fails: number;
}

interface Row {
  count: number;
  readonly ids: number[];
}

export interface Form {
  readonly name: string;
  /** Where the policy is given: to the handler itself or to the app. */
  readonly by: 'handler' | 'app';
  readonly kind: 'stream' | 'async stream' | 'agent' | 'each' | 'sync each';
  readonly concurrency: number;
}

export const forms: readonly Form[] = (['handler', 'app'] as const).flatMap((by) => {
  const form = (kind: Form['kind'], concurrency: number): Form => ({
    name: `${kind}, concurrency ${concurrency}, policy of the ${by}`,
    by,
    kind,
    concurrency,
  });
  const agents = (['agent', 'each', 'sync each'] as const).flatMap((kind) => [
    form(kind, 1),
    form(kind, 4),
  ]);
  return [form('stream', 1), form('async stream', 1)].concat(agents);
});

/** An app with one handler. */
export interface PolicyBench {
  readonly app: App;
  readonly inbox: Topic<string, Work>;
  readonly dead: Topic<string, Work>;
  readonly counts: Table<string, number, number>;
  readonly rows: Table<string, Row, Row>;
  /** By sink or yield. */
  readonly results: Topic<string, number>;
  /** By a send from within. */
  readonly notes: Topic<string, number>;
  /** How often the handler was called with an event, by its id. */
  readonly calls: Map<number, number>;
}

const keyed = <V>(): { key: Schema<string>; value: Schema<V> } => ({
  key: unchecked<string>(),
  value: unchecked<V>(),
});

export function policyBench(
  form: Form,
  policy: OnError | undefined,
  options: AppOptions = {},
): PolicyBench {
  const onApp = form.by === 'app' ? policy : undefined;
  const onHandler = form.by === 'handler' ? policy : undefined;
  const app = new App('bench', { broker: 'memory:', onError: onApp, ...options });
  const inbox = app.topic('inbox', keyed<Work>());
  const dead = app.topic('dead', keyed<Work>());
  const results = app.topic('results', keyed<number>());
  const notes = app.topic('notes', keyed<number>());
  const counts = app.table('counts', { default: () => 0 });
  const rows = app.table<Row>('rows', { default: () => ({ count: 0, ids: [] }) });
  const calls = new Map<number, number>();

  const change = ({ id, key }: Work): void => {
    counts.update(key, (n) => n + 1);
    // In place, as people do.
    rows.update(key, (row) => {
      row.count++;
      row.ids.push(id);
      return row;
    });
  };
  const fail = ({ id, fails }: Work): void => {
    const call = (calls.get(id) ?? 0) + 1;
    calls.set(id, call);
    if (call <= fails) throw new Error(`event ${id} fails, time ${call}`);
  };

  if (form.kind === 'stream' || form.kind === 'async stream') {
    const source: Stream<Work, string> =
      onHandler === undefined ? inbox.stream() : inbox.stream().onError(onHandler);
    const pause = form.kind === 'stream' ? undefined : Promise.resolve();
    const changed = source.map((work) => {
      change(work);
      return pause === undefined ? work : pause.then(() => work);
    });
    changed.map(({ id }) => id).sink(notes);
    changed
      .map((work) => {
        rows.set(work.key, { ...rows.get(work.key) });
        fail(work);
        return pause === undefined ? work.id : pause.then(() => work.id);
      })
      .sink(results);
  } else if (form.kind === 'agent')
    app.agent(
      'handler',
      inbox,
      async function* (stream) {
        for await (const work of stream) {
          change(work);
          await notes.send(work.id, { key: work.key });
          yield work.id;
          await Promise.resolve();
          fail(work);
        }
      },
      { sinks: [results], onError: onHandler, concurrency: form.concurrency },
    );
  else if (form.kind === 'each')
    app.each(
      'handler',
      inbox,
      async (work) => {
        change(work);
        await notes.send(work.id, { key: work.key });
        await Promise.resolve();
        fail(work);
        return work.id;
      },
      { sinks: [results], onError: onHandler, concurrency: form.concurrency },
    );
  else
    app.each(
      'handler',
      inbox,
      (work) => {
        change(work);
        void notes.send(work.id, { key: work.key });
        fail(work);
        return work.id;
      },
      { sinks: [results], onError: onHandler, concurrency: form.concurrency },
    );
  return { app, inbox, dead, counts, rows, results, notes, calls };
}

/** What is left when all is done, by key. */
export interface Left {
  readonly counts: Readonly<Record<string, number>>;
  readonly ids: Readonly<Record<string, readonly number[]>>;
  readonly results: Readonly<Record<string, readonly number[]>>;
  readonly notes: Readonly<Record<string, readonly number[]>>;
  readonly dead: Readonly<Record<string, readonly number[]>>;
}

/** What must be left when those that succeed do so once and in the order of their key, and `dead` are put aside. */
export function leftOf(good: readonly Work[], dead: readonly Work[] = []): Left {
  const ids = byKey(good.map(({ key, id }) => ({ key, value: id })));
  return {
    counts: Object.fromEntries(Object.entries(ids).map(([key, list]) => [key, list.length])),
    ids,
    results: ids,
    notes: ids,
    dead: byKey(dead.map(({ key, id }) => ({ key, value: id }))),
  };
}

/** What is left. */
export async function look(t: TestApp, bench: PolicyBench): Promise<Left> {
  const rows = [...t.table(bench.rows).entries()];
  for (const [key, row] of rows)
    if (row.count !== row.ids.length)
      throw new Error(`row ${key} counts ${row.count} of ${row.ids.length}`);
  const dead = await t.output(bench.dead);
  return {
    counts: Object.fromEntries(t.table(bench.counts).entries()),
    ids: Object.fromEntries(rows.map(([key, { ids }]) => [key, ids])),
    results: byKey(await t.output(bench.results)),
    notes: byKey(await t.output(bench.notes)),
    dead: byKey(dead.map(({ key, value }) => ({ key, value: value.id }))),
  };
}

/** Runs `events` through a handler. */
export async function runPolicy(
  bench: PolicyBench,
  events: readonly Work[],
  options: TestAppOptions = {},
): Promise<{ readonly left: Left; readonly dead: readonly TestRecord<string, Work>[] }> {
  await using t = await TestApp.start(bench.app, options);
  await t.sendAll(
    bench.inbox,
    events.map((work) => [work, { key: work.key }] as const),
  );
  const left = await look(t, bench);
  return { left, dead: [] };
}

function byKey<V>(
  records: readonly { readonly key: string; readonly value: V }[],
): Record<string, V[]> {
  const lists: Record<string, V[]> = {};
  for (const { key, value } of records) (lists[key] ??= []).push(value);
  return lists;
}
