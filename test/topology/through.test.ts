/** `through`, operators that hold values back, and streams of several apps, in the topology of an app. */
import { describe, expect, test } from 'vitest';

import { sourceNode } from '../../src/stream/graph.ts';
import { nodeOf, templateStream } from '../../src/stream/stream.ts';
import type { Stream } from '../../src/stream/stream.ts';
import { checkChange, fingerprint, orphans } from '../../src/topology/compare.ts';
import { printTopology } from '../../src/topology/print.ts';
import { foreignSource } from '../../src/topology/sources.ts';
import { expectError } from '../codec/support.ts';
import { count, Declared, ignore } from './graph.ts';

describe('through', () => {
  test('cuts at the topic: one part ends there, another begins', () => {
    const app = new Declared();
    const late = app.table('late');
    app
      .topic('flights', 8)
      .filter((row) => row.delay > 15)
      .through(app.target('delays', 2))
      .update(late, count);
    expect(app.subs()).toMatchObject({
      flights: {
        partitions: 8,
        inputs: [{ topic: 'flights' }],
        cuts: [],
        tables: [],
        through: [{ topic: 'delays', partitions: 2 }],
      },
      delays: {
        partitions: 2,
        inputs: [{ topic: 'delays', role: 'source', upstreamTasks: 0 }],
        tables: ['late'],
        through: [],
      },
    });
    expect(printTopology(app.build())).toBe(
      [
        'app app',
        '  delays: 2 tasks',
        '    reads   delays (2 partitions)',
        '    table   late',
        '  flights: 8 tasks',
        '    reads   flights (8 partitions)',
        '    feeds   delays (2 partitions)',
      ].join('\n'),
    );
  });

  test('that nobody follows is a sink', () => {
    const app = new Declared();
    app.topic('flights').through(app.target('delays'));
    expect(app.subs()).toMatchObject({ flights: { through: [{ topic: 'delays' }] } });
    expect(app.names()).toEqual(['flights']);
  });

  test('in front of an agent leaves the part before it synchronous', () => {
    const app = new Declared();
    app.agent('watch', app.topic('flights').through(app.target('delays')));
    expect(app.subs()).toMatchObject({
      flights: { asynchronous: false },
      'agent-watch': { asynchronous: true, inputs: [{ topic: 'delays' }] },
    });
  });

  test('twice to one topic: both feed it, and what follows is one part', () => {
    const app = new Declared();
    const delays = app.target('delays');
    app.topic('flights').through(delays).sink(ignore);
    app.topic('charters').through(delays).sink(ignore);
    const subs = app.subs();
    expect(Object.keys(subs)).toEqual(['charters', 'delays', 'flights']);
    expect(subs['delays']?.inputs[0]?.roots).toHaveLength(2);
  });

  test('one after the other, and around a groupBy', () => {
    const app = new Declared();
    app
      .topic('flights')
      .through(app.target('one'))
      .groupBy('origin')
      .through(app.target('two'))
      .sink(ignore);
    expect(app.subs()).toMatchObject({
      flights: { through: [{ topic: 'one' }] },
      one: { cuts: [{ topic: 'app-one-origin-repartition' }], through: [] },
      'one-origin': { through: [{ topic: 'two' }] },
      two: {},
    });
  });

  test('may go round: a topic that feeds itself, and two that feed each other', () => {
    const app = new Declared();
    app
      .topic('flights')
      .filter((row) => row.delay > 15)
      .through(app.target('flights'))
      .sink(ignore);
    expect(app.subs()).toMatchObject({ flights: { through: [{ topic: 'flights' }] } });
    expect(app.subs()['flights']?.inputs).toHaveLength(1);

    const two = new Declared();
    const [tables, a, b] = [two.table('t'), two.target('a'), two.target('b')];
    two.topic('a').through(b).update(tables, count);
    two.topic('b').through(a).sink(ignore);
    expect(two.subs()).toMatchObject({
      a: { through: [{ topic: 'b' }] },
      b: { through: [{ topic: 'a' }], tables: ['t'] },
    });
  });

  test('an echo and a sink are no cuts', () => {
    const app = new Declared();
    const delays = app.target('delays');
    app.topic('flights').echo(delays).groupBy('origin').sink(delays);
    expect(app.names()).toEqual(['flights', 'flights-origin']);
    expect(app.subs()['flights']).toMatchObject({
      through: [],
      cuts: [{ transparentFrom: 'flights' }],
    });
  });

  test('moving a table behind one is refused with the difference', () => {
    const declare = (further: boolean): string => {
      const app = new Declared();
      const late = app.table('late');
      const flights = app.topic('flights');
      (further ? flights.through(app.target('delays')) : flights).update(late, count);
      return fingerprint(app.build());
    };
    const [before, after] = [declare(false), declare(true)];
    expect(orphans(before, after)).toEqual(['~ late would move from flights to delays']);
    expectError('MR_TOPOLOGY_CHANGED', () => checkChange('app', before, after));
    expect(orphans(before, before)).toEqual([]);
  });
});

describe('operators that hold values back', () => {
  test('a buffer is refused', () => {
    const app = new Declared();
    app.topic('flights').buffer(10).sink(ignore);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      '<buffer 10> on a stream of an app holds values back that a crash would lose, although they count as processed; leave it out',
    );
  });

  test('a take with a time is refused, by its name', () => {
    const app = new Declared();
    app.topic('flights').groupBy('origin').take(10, { within: '5s', name: 'tens' }).sink(ignore);
    expectError('MR_TOPOLOGY_INVALID', () => app.build(), '<take tens> on a stream of an app');
  });

  test('not where nothing reaches them', () => {
    const app = new Declared();
    app.topic('unused').buffer(1).destroy();
    app.topic('flights').sink(ignore);
    expect(app.names()).toEqual(['flights']);
  });

  test('a take without a time keeps state under its name', () => {
    const app = new Declared();
    const flights = app.topic('flights');
    flights.take(10).sink(ignore);
    expect(app.subs()['flights']?.states.map(({ name }) => name)).toEqual(['flights.take']);
    flights.take(5).sink(ignore);
    expectError('MR_NAME_MISSING', () => app.build());
    const named = new Declared();
    named.topic('flights').take(10, { name: 'tens' }).sink(ignore);
    expect(named.subs()['flights']?.states.map(({ name }) => name)).toEqual(['flights.tens']);
  });
});

describe('streams of another app', () => {
  test('are not mixed in: their values would be missing in silence', () => {
    const [app, other] = [new Declared(), new Declared()];
    app
      .topic('flights')
      .union(other.topic('charters').map((row) => row))
      .sink(ignore);
    for (const each of [app, other])
      expectError(
        'MR_TOPOLOGY_INVALID',
        () => each.build(),
        /^<union> mixes streams of app app with one of <topic (charters|flights)>/u,
      );
  });

  test('are found in front of what follows from them', () => {
    const [app, other] = [new Declared(), new Declared()];
    const table = app.table('late');
    const [own, closed] = [app.topic('flights').groupBy('origin'), app.closed(table)];
    const foreign = other.topic('charters');
    const found = (stream: Stream<unknown, unknown>): string | undefined =>
      foreignSource(app.graph, nodeOf(stream))?.name;
    expect([own, closed, own.union(closed)].map(found)).toEqual([undefined, undefined, undefined]);
    expect(found(foreign.map((row) => row))).toBe('charters');
    expect(found(own.union(foreign))).toBe('charters');
    expect(found(templateStream(sourceNode('changes', { kind: 'changes', name: 'counts' })))).toBe(
      'counts',
    );
  });
});
