import { describe, expect, test } from 'vitest';

import { internalName } from '../../src/broker/checks.ts';
import { childNode } from '../../src/stream/graph.ts';
import { nodeOf, templateStream } from '../../src/stream/stream.ts';
import { changelogTopic, taskId } from '../../src/topology/topology.ts';
import { expectError } from '../codec/support.ts';
import { count, Declared, ignore } from './graph.ts';

describe('sub-topologies', () => {
  test('of an app that declares nothing: none', () => {
    const app = new Declared();
    app.topic('flights');
    expect(app.names()).toEqual([]);
  });

  test('a stream is one, named after its topic', () => {
    const app = new Declared();
    app
      .topic('flights', 8)
      .map((row) => row.delay)
      .sink(ignore);
    const { flights } = app.subs();
    expect(flights).toMatchObject({
      name: 'flights',
      partitions: 8,
      tables: [],
      closed: [],
      states: [],
      agents: [],
      cuts: [],
      asynchronous: false,
      inputs: [{ topic: 'flights', role: 'source', partitions: 8, upstreamTasks: 0 }],
    });
    expect(flights?.inputs[0]?.roots.map(({ kind }) => kind)).toEqual(['topic']);
  });

  test('synchronous graphs of one topic are one, and decode it once', () => {
    const app = new Declared();
    app.topic('flights').sink(ignore);
    app
      .topic('flights')
      .map((row) => row.delay)
      .sink(ignore);
    app.topic('weather').sink(ignore);
    const { flights, weather } = app.subs();
    expect(Object.keys(app.subs())).toEqual(['flights', 'weather']);
    expect(flights?.inputs).toHaveLength(1);
    expect(flights?.inputs[0]?.roots).toHaveLength(2);
    expect(weather?.inputs[0]?.roots).toHaveLength(1);
  });

  test('a source that nobody uses is no root', () => {
    const app = new Declared();
    app.topic('flights');
    app.topic('flights').sink(ignore);
    expect(app.subs()['flights']?.inputs[0]?.roots).toHaveLength(1);
  });

  test('a groupBy cuts', () => {
    const app = new Declared();
    const late = app.table('late');
    app
      .topic('flights', 8)
      .filter((row) => row.delay > 15)
      .groupBy('origin')
      .update(late, count);
    const { flights, 'flights-origin': behind } = app.subs();
    const topic = 'app-flights-origin-repartition';
    expect(flights).toMatchObject({
      cuts: [{ topic, partitions: 8, transparentFrom: 'flights', delayMs: 0 }],
      tables: [],
    });
    expect(behind).toMatchObject({
      partitions: 8,
      tables: ['late'],
      inputs: [{ topic, role: 'repartition', partitions: 8, upstreamTasks: 8 }],
    });
    expect(behind?.inputs[0]?.roots).toEqual([flights?.cuts[0]?.node]);
  });

  test('cuts follow one another, each with the tasks in front of it', () => {
    const app = new Declared();
    app
      .topic('flights', 8)
      .groupBy('origin', { partitions: 2 })
      .map((row) => row)
      .groupBy('destination')
      .sink(ignore);
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['flights', 'flights-origin', 'flights-origin-destination']);
    expect(subs['flights-origin']).toMatchObject({
      partitions: 2,
      inputs: [{ upstreamTasks: 8 }],
      cuts: [{ partitions: 2 }],
    });
    expect(subs['flights-origin-destination']).toMatchObject({
      partitions: 2,
      inputs: [{ upstreamTasks: 2, topic: 'app-flights-origin-destination-repartition' }],
    });
  });

  test('a groupBy that nobody reads behind is left out, and with it the topic', () => {
    const app = new Declared();
    const stream = app.topic('flights');
    stream.groupBy('origin');
    stream.sink(ignore);
    expect(app.names()).toEqual(['flights']);
    expect(app.subs()['flights']?.cuts).toEqual([]);
    const unused = new Declared();
    unused.topic('flights').groupBy('origin');
    expect(unused.subs()['flights']?.cuts).toEqual([]);
  });

  test('one groupBy that several use is one topic', () => {
    const app = new Declared();
    const [a, b] = [app.table('a'), app.table('b')];
    const keyed = app.topic('flights').groupBy('origin');
    keyed.update(a, count);
    keyed.update(b, count);
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['flights', 'flights-origin']);
    expect(subs['flights']?.cuts).toHaveLength(1);
    expect(subs['flights-origin']?.tables).toEqual(['a', 'b']);
  });

  test('streams that meet are one, over the topics of both', () => {
    const app = new Declared();
    app.topic('flights', 4).union(app.topic('charters', 4)).sink(ignore);
    const [sub] = app.build().subTopologies;
    expect(sub).toMatchObject({
      name: 'charters.flights',
      partitions: 4,
      inputs: [{ topic: 'charters' }, { topic: 'flights' }],
    });
  });

  test('so are streams that update one table', () => {
    const app = new Declared();
    const seen = app.table('seen');
    app.topic('flights').update(seen, count);
    app.topic('charters').update(seen, count);
    expect(app.names()).toEqual(['charters.flights']);
  });

  test('a table joins what is in front of a groupBy of one topic with the stream of another', () => {
    const app = new Declared();
    const origins = app.table('origins');
    app.topic('flights', 8).groupBy('origin').update(origins, count);
    app.topic('airports', 3).update(origins, count);
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['airports.flights-origin', 'flights']);
    // The repartition topic has as many partitions as the topic that it meets.
    expect(subs['flights']?.cuts[0]).toMatchObject({ partitions: 3 });
    expect(subs['airports.flights-origin']).toMatchObject({
      partitions: 3,
      tables: ['origins'],
      inputs: [
        { topic: 'airports', role: 'source', upstreamTasks: 0 },
        { topic: 'app-flights-origin-repartition', role: 'repartition', upstreamTasks: 8 },
      ],
    });
  });

  test('two groupBys that feed one table are two inputs of one sub-topology', () => {
    const app = new Declared();
    const seen = app.table('seen');
    app.topic('flights').groupBy('origin').update(seen, count);
    app.topic('charters').groupBy('origin').update(seen, count);
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['charters', 'charters-origin.flights-origin', 'flights']);
    expect(subs['charters-origin.flights-origin']?.inputs.map(({ topic }) => topic)).toEqual([
      'app-charters-origin-repartition',
      'app-flights-origin-repartition',
    ]);
  });

  test('inputs may differ in partitions where nothing is kept', () => {
    const app = new Declared();
    app.topic('flights', 8).union(app.topic('charters', 2)).sink(ignore);
    expect(app.build().subTopologies).toMatchObject([{ partitions: 8 }]);
  });

  test('the names of sub-topologies do not depend on the order of declarations', () => {
    const declare = (order: readonly number[]): Declared => {
      const app = new Declared();
      const [a, b] = [app.table('a'), app.table('b')];
      const parts = [
        () => app.topic('flights').groupBy('origin').update(a, count),
        () => app.topic('flights').update(b, count),
        () => app.topic('charters').groupBy('origin').update(a, count),
        () => app.agent('watch', app.topic('flights')),
      ];
      for (const at of order) parts[at]?.();
      return app;
    };
    const names = declare([0, 1, 2, 3]).names();
    expect(names).toEqual(['agent-watch', 'charters', 'charters-origin.flights-origin', 'flights']);
    for (const order of [
      [3, 2, 1, 0],
      [2, 0, 3, 1],
    ])
      expect(declare(order).names()).toEqual(names);
  });
});

describe('agents', () => {
  test('each is a sub-topology of its own, beside the streams of the topic', () => {
    const app = new Declared();
    const late = app.table('late');
    app.topic('flights', 8).update(late, count);
    app.agent('slow', app.topic('flights', 8));
    app.agent('fast', app.topic('flights', 8));
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['agent-fast', 'agent-slow', 'flights']);
    expect(subs['agent-slow']).toMatchObject({
      asynchronous: true,
      agents: ['slow'],
      partitions: 8,
      inputs: [{ topic: 'flights', role: 'source' }],
    });
    expect(subs['flights']).toMatchObject({ asynchronous: false, agents: [], tables: ['late'] });
  });

  test('agents of one stream stay together', () => {
    const app = new Declared();
    const stream = app.topic('flights').filter((row) => row.delay > 0);
    app.agent('two', stream);
    app.agent('one', stream);
    const [sub] = app.build().subTopologies;
    expect(sub).toMatchObject({ name: 'agent-one.two', agents: ['one', 'two'] });
  });

  test('an agent behind a groupBy', () => {
    const app = new Declared();
    app.agent('watch', app.topic('flights').groupBy('origin'));
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['agent-watch', 'flights']);
    expect(subs['flights']?.asynchronous).toBe(false);
    expect(subs['agent-watch']).toMatchObject({
      inputs: [{ topic: 'app-flights-origin-repartition' }],
    });
  });

  test('a groupBy in the middle of an agent and a stream has the name of the agent', () => {
    const app = new Declared();
    const stream = app.topic('flights');
    app.agent('watch', stream);
    stream.groupBy('origin').sink(ignore);
    expect(app.names()).toEqual(['agent-watch', 'agent-watch-origin']);
  });
});

describe('closed windows', () => {
  test('are where their table is updated', () => {
    const app = new Declared();
    const late = app.table('late');
    app.topic('flights').groupBy('origin').update(late, count);
    app.closed(late, 600_000).sink(ignore);
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['flights', 'flights-origin']);
    expect(subs['flights-origin']?.closed).toMatchObject([
      { table: 'late', node: { kind: 'closed' } },
    ]);
    expect(subs['flights']?.closed).toEqual([]);
  });

  test('may be declared before their table is updated', () => {
    const app = new Declared();
    const late = app.table('late');
    app.closed(late).sink(ignore);
    app.topic('flights').update(late, count);
    expect(app.subs()['flights']?.closed).toMatchObject([{ table: 'late' }]);
  });

  test('that nobody uses are left out, even of a table that nobody updates', () => {
    const app = new Declared();
    const late = app.table('late');
    app.closed(late);
    app.topic('flights').sink(ignore);
    expect(app.subs()['flights']?.closed).toEqual([]);
  });

  test('behind a groupBy their event times lie behind stream time by the grace', () => {
    const app = new Declared();
    const [hourly, weekly] = [app.table('hourly'), app.table('weekly')];
    const stream = app.topic('flights');
    stream.groupBy('origin').update(hourly, count);
    stream.groupBy('destination').update(weekly, count);
    app.closed(hourly, 600_000).groupBy('destination').sink(ignore);
    const subs = app.subs();
    expect(subs['flights']?.cuts.map(({ delayMs }) => delayMs)).toEqual([0, 0]);
    expect(subs['flights-origin']?.cuts).toMatchObject([
      { topic: 'app-flights-origin-destination-repartition', delayMs: 600_000 },
    ]);
    expect(subs['flights-origin']?.cuts[0]?.transparentFrom).toBeUndefined();
  });

  test('the longest grace counts, and only for the groupBys that the windows reach', () => {
    const app = new Declared();
    const [a, b] = [app.table('a'), app.table('b')];
    const stream = app.topic('flights');
    stream.update(a, count);
    stream.update(b, count);
    app.closed(a, 5).union(app.closed(b, 7)).groupBy('origin').sink(ignore);
    stream.groupBy('destination').sink(ignore);
    const { flights } = app.subs();
    expect(Object.fromEntries(flights?.cuts.map((cut) => [cut.topic, cut.delayMs]) ?? [])).toEqual({
      'app-flights-origin-repartition': 7,
      'app-flights-destination-repartition': 0,
    });
  });

  test('of a table that only agents update are refused', () => {
    const app = new Declared();
    app.agent('watch', app.topic('flights'));
    app.closed(app.table('late')).sink(ignore);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      "the closed windows of table late are used, but no declared stream updates the table; update it with a stream's update(late, …), since closed() follows the task that does",
    );
  });

  test('that feed nothing but themselves are refused', () => {
    const app = new Declared();
    const [a, b] = [app.table('a'), app.table('b')];
    app.closed(a).update(b, count);
    app.closed(b).update(a, count);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      'no topic feeds the closed windows of a and b; update one of the tables with the stream of a topic',
    );
  });
});

describe('partitions of a groupBy', () => {
  test('are those of the stream in front of it', () => {
    const app = new Declared();
    app.topic('flights', 5).groupBy('origin').sink(ignore);
    expect(app.subs()['flights-origin']).toMatchObject({ partitions: 5 });
  });

  test('or as it says', () => {
    const app = new Declared();
    app.topic('flights', 5).groupBy('origin', { partitions: 2 }).sink(ignore);
    expect(app.subs()['flights']?.cuts).toMatchObject([{ partitions: 2 }]);
    expect(app.subs()['flights-origin']).toMatchObject({
      partitions: 2,
      inputs: [{ upstreamTasks: 5 }],
    });
  });

  test('or those of the topic that it meets', () => {
    const app = new Declared();
    const keyed = app.topic('flights', 5).groupBy('origin');
    keyed.union(app.topic('airports', 3)).update(app.table('t'), count);
    expect(app.subs()['flights']?.cuts).toMatchObject([{ partitions: 3 }]);
  });
});

describe('values that are passed on as they were read', () => {
  const transparentFrom = (app: Declared, sub: string): (string | undefined)[] =>
    app.subs()[sub]?.cuts.map((cut) => cut.transparentFrom) ?? [];

  test('through filter, tap and union of one topic', () => {
    const app = new Declared();
    const a = app
      .topic('flights')
      .filter((row) => row.delay > 0)
      .tap(ignore);
    const b = app.topic('flights').filter((row) => row.delay < 0);
    a.union(b)
      .filter(() => true)
      .groupBy('origin')
      .sink(ignore);
    expect(transparentFrom(app, 'flights')).toEqual(['flights']);
  });

  test('directly behind the topic', () => {
    const app = new Declared();
    app.topic('flights').groupBy('origin').sink(ignore);
    expect(transparentFrom(app, 'flights')).toEqual(['flights']);
  });

  test('not through map, nor behind a table', () => {
    const mapped = new Declared();
    mapped
      .topic('flights')
      .map((row) => row)
      .groupBy('origin')
      .sink(ignore);
    expect(transparentFrom(mapped, 'flights')).toEqual([undefined]);
    const updated = new Declared();
    updated
      .topic('flights')
      .update(updated.table('t'), count)
      .groupBy((change) => String(change.key), { name: 'key' })
      .sink(ignore);
    expect(transparentFrom(updated, 'flights')).toEqual([undefined]);
  });

  test('not when they come from two topics, or on one way through a map', () => {
    const two = new Declared();
    two.topic('a').union(two.topic('b')).groupBy('origin').sink(ignore);
    expect(transparentFrom(two, 'a.b')).toEqual([undefined]);
    const mixed = new Declared();
    const stream = mixed.topic('flights');
    stream
      .union(stream.map((row) => row))
      .groupBy('origin')
      .sink(ignore);
    expect(transparentFrom(mixed, 'flights')).toEqual([undefined]);
  });

  test('from a repartition topic to the next', () => {
    const app = new Declared();
    const keyed = app.topic('flights').groupBy('origin');
    keyed
      .filter((row) => row.delay > 0)
      .groupBy('destination')
      .sink(ignore);
    expect(transparentFrom(app, 'flights-origin')).toEqual(['app-flights-origin-repartition']);
  });
});

describe('operators with state', () => {
  test('are named after themselves, or their kind, and their sub-topology', () => {
    const app = new Declared();
    const keyed = app.topic('flights').groupBy('origin');
    keyed.accumulate((n: number, row) => n + row.delay, { start: 0, name: 'total' }).sink(ignore);
    keyed.enumerate().sink(ignore);
    const states = app.subs()['flights-origin']?.states ?? [];
    expect(states.map(({ name }) => name).toSorted()).toEqual([
      'flights-origin.enumerate',
      'flights-origin.total',
    ]);
    expect(states.map(({ node }) => node.kind).toSorted()).toEqual(['accumulate', 'enumerate']);
  });

  test('two without a name of their own are refused', () => {
    const app = new Declared();
    app.topic('flights', 1).enumerate().sink(ignore);
    app.topic('flights', 1).enumerate().sink(ignore);
    expectError(
      'MR_NAME_MISSING',
      () => app.build(),
      "two enumerate behind flights keep state under one name; give each a name: enumerate(…, { name: '…' })",
    );
  });

  test('the same name on both sides of a groupBy are two states', () => {
    const app = new Declared();
    const sum = (n: number, row: { delay: number }): number => n + row.delay;
    const stream = app.topic('flights');
    stream.accumulate(sum, { start: 0, name: 'sum' }).sink(ignore);
    stream.groupBy('origin').accumulate(sum, { start: 0, name: 'sum' }).sink(ignore);
    const names = app.build().subTopologies.flatMap(({ states }) => states.map(({ name }) => name));
    expect(names).toEqual(['flights.sum', 'flights-origin.sum']);
  });
});

describe('what is refused', () => {
  test('topics that feed one state and are not partitioned alike', () => {
    const app = new Declared();
    app.topic('flights', 8).union(app.topic('charters', 2)).update(app.table('t'), count);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      'flights (8 partitions) and charters (2 partitions) feed the same state but are not partitioned alike; give the topics the same number of partitions, or put groupBy(…) in front of one',
    );
  });

  test('a groupBy with other partitions than the topic that it meets', () => {
    const app = new Declared();
    const keyed = app.topic('flights', 8).groupBy('origin', { partitions: 8 });
    keyed.union(app.topic('airports', 3)).update(app.table('t'), count);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      /airports \(3 partitions\) and app-flights-origin-repartition \(8 partitions\) feed the same state/,
    );
  });

  test('an agent over topics that are not partitioned alike', () => {
    const app = new Declared();
    app.agent('watch', app.topic('flights', 8).union(app.topic('charters', 2)));
    expectError('MR_TOPOLOGY_INVALID', () => app.build(), /not partitioned alike/);
  });

  test('two groupBys of one name behind one sub-topology', () => {
    const app = new Declared();
    const stream = app.topic('flights');
    stream.groupBy('origin').sink(ignore);
    stream
      .map((row) => row)
      .groupBy('origin')
      .sink(ignore);
    expectError(
      'MR_NAME_TAKEN',
      () => app.build(),
      "two groupBy behind flights are both called origin; share one stream between them, or give one of them a name: groupBy(…, { name: '…' })",
    );
  });

  test('two parts of one name', () => {
    const app = new Declared();
    app.topic('flights').groupBy('origin').sink(ignore);
    app.topic('flights-origin').sink(ignore);
    expectError(
      'MR_NAME_TAKEN',
      () => app.build(),
      'two parts of the app are both called flights-origin; rename an agent, or give a groupBy a name',
    );
  });

  test('a table on both sides of a groupBy', () => {
    const app = new Declared();
    const t = app.table('t');
    const stream = app.topic('flights');
    stream.update(t, count);
    stream.groupBy('origin').update(t, count);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      /goes in a circle through the groupBy origin: what feeds it and what reads it share a table or an agent; use a table for each side/,
    );
  });

  test('two groupBys that feed each other', () => {
    const app = new Declared();
    const [a, b] = [app.table('a'), app.table('b')];
    const [one, two] = [app.topic('one'), app.topic('two')];
    one.update(a, count);
    two.update(b, count);
    one.groupBy('origin').update(b, count);
    two.groupBy('origin').update(a, count);
    expectError('MR_TOPOLOGY_INVALID', () => app.build(), /goes in a circle/);
  });

  test('a groupBy without a name', () => {
    const app = new Declared();
    const cut = childNode([nodeOf(app.topic('flights'))], {
      kind: 'groupBy',
      role: { role: 'cut', name: undefined, key: () => 1, partitions: undefined },
      make: () => ignore,
    });
    templateStream(cut).sink(ignore);
    expectError(
      'MR_NAME_MISSING',
      () => app.build(),
      "a groupBy with a function needs a name for its topic: groupBy(fn, { name: '…' })",
    );
  });

  test('names that grow too long for a broker', () => {
    const app = new Declared();
    const long = 'x'.repeat(120);
    app
      .topic(long)
      .groupBy(() => 'k', { name: long })
      .sink(ignore);
    expectError(
      'MR_NAME_INVALID',
      () => app.build(),
      /is a name of 2\d\d characters for a topic of the app, more than 249; give topics, agents or groupBy\(…, \{ name \}\) shorter names/,
    );
  });

  test('names of states that grow too long for a row', () => {
    const app = new Declared();
    const long = 'x'.repeat(128);
    app
      .topic('x'.repeat(127), 1)
      .accumulate((n: number) => n, { start: 0, name: long })
      .sink(ignore);
    expectError(
      'MR_NAME_INVALID',
      () => app.build(),
      /is a name of 256 characters for a state, more than 254; give the topic or the operator a shorter name/,
    );
  });
});

describe('names', () => {
  test('every topic and task has a name that brokers take', () => {
    const app = new Declared('flights-v2');
    const [a, b] = [app.table('a'), app.table('b')];
    const stream = app.topic('flights').union(app.topic('charters'));
    stream.groupBy('origin').update(a, count);
    app.topic('x.y_z').groupBy('origin').update(a, count);
    app.agent('two', stream);
    app.agent('one', stream);
    app.topic('other').update(b, count);
    app.closed(b, 5).groupBy('destination').sink(ignore);
    for (const sub of app.build().subTopologies) {
      const topics = [
        changelogTopic('flights-v2', sub.name),
        ...sub.cuts.map(({ topic }) => topic),
      ];
      for (const topic of topics) expect(internalName('topic', topic)).toBe(topic);
      expect(taskId(sub.name, 3)).toMatch(/^[\x21-\x7e]{1,249}$/);
    }
  });

  test('of changelogs and tasks', () => {
    expect(changelogTopic('app-v2', 'flights-origin')).toBe('app-v2-flights-origin-changelog');
    expect(taskId('flights-origin', 3)).toBe('flights-origin/3');
  });
});
