/** Where the changes of tables flow. */
import { describe, expect, test } from 'vitest';

import { hoppingWindow, tumblingWindow, windowShape } from '../../src/window/definition.ts';
import { fingerprint, orphans } from '../../src/topology/compare.ts';
import { printTopology } from '../../src/topology/print.ts';
import { expectError } from '../codec/support.ts';
import { count, Declared, ignore } from './graph.ts';

describe('the changes of a table that a declared stream updates', () => {
  test('flow in the part of the stream', () => {
    const app = new Declared();
    const [counts, sums] = [app.table('counts'), app.table('sums')];
    app.topic('flights').groupBy('origin').update(counts, count);
    app.changes(counts).update(sums, count);
    expect(app.names()).toEqual(['flights', 'flights-origin']);
    const { 'flights-origin': part } = app.subs();
    expect(part?.tables).toEqual(['counts', 'sums']);
    expect(part?.changes.map(({ table }) => table)).toEqual(['counts']);
    expect(part?.asynchronous).toBe(false);
    expect(printTopology(app.build())).toContain('    follows changes of counts');
  });

  test('go on into other parts', () => {
    const app = new Declared();
    const [counts, sums] = [app.table('counts'), app.table('sums')];
    app.topic('flights').update(counts, count);
    app.changes(counts).groupBy('destination').update(sums, count);
    expect(app.names()).toEqual(['flights', 'flights-destination']);
    const { flights } = app.subs();
    expect(flights?.cuts.map(({ transparentFrom, delayMs }) => [transparentFrom, delayMs])).toEqual(
      [[undefined, 0]],
    );
  });

  test('make it asynchronous when an agent follows them, whoever is named', () => {
    const app = new Declared();
    const counts = app.table('counts');
    app.topic('flights').update(counts, count);
    app.agent('follower', app.changes(counts, 'somebody'));
    expect(app.names()).toEqual(['agent-follower']);
  });

  test('that closed windows make lie behind by their grace', () => {
    const app = new Declared();
    const [windows, totals, sums] = [app.table('w'), app.table('totals'), app.table('sums')];
    app.topic('flights').update(windows, count);
    app.closed(windows, 70).update(totals, count);
    app.changes(totals).groupBy('destination').update(sums, count);
    expect(app.subs()['flights']?.cuts[0]?.delayMs).toBe(70);
  });
});

describe('the changes of a table that only agents use', () => {
  test('flow in the part of the only agent', () => {
    const app = new Declared();
    const [counts, sums] = [app.table('counts'), app.table('sums')];
    app.agent('worker', app.topic('flights'));
    app.changes(counts).update(sums, count);
    expect(app.names()).toEqual(['agent-worker']);
    expect(app.subs()['agent-worker']?.tables).toEqual(['sums']);
  });

  test('an agent that follows them is not the one that makes them', () => {
    const app = new Declared();
    const counts = app.table('counts');
    app.agent('worker', app.topic('flights'));
    app.agent('follower', app.changes(counts));
    expect(app.names()).toEqual(['agent-follower.worker']);
  });

  test('flow in the part of the agent that was named', () => {
    const app = new Declared();
    const counts = app.table('counts');
    for (const name of ['one', 'two', 'three']) app.agent(name, app.topic('flights'));
    app.changes(counts, 'two').sink(ignore);
    expect(app.names()).toEqual(['agent-one', 'agent-three', 'agent-two']);
    expect(app.subs()['agent-two']?.changes.map(({ table }) => table)).toEqual(['counts']);
    expect(app.subs()['agent-one']?.changes).toEqual([]);
  });

  test('of several agents one has to be named', () => {
    const app = new Declared();
    const counts = app.table('counts');
    for (const name of ['one', 'two']) app.agent(name, app.topic('flights'));
    app.changes(counts).sink(ignore);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      /with any of the agents one, two; .*counts\.changes\(\{ by: agent \}\)/,
    );
  });

  test('a name of no agent, or of the one that follows them, is refused', () => {
    for (const by of ['nobody', 'follower']) {
      const app = new Declared();
      app.agent('worker', app.topic('flights'));
      app.agent('follower', app.changes(app.table('counts'), by));
      expectError(
        'MR_TOPOLOGY_INVALID',
        () => app.build(),
        new RegExp(
          `asked for by agent ${by}, which is not an agent of the app that could make them`,
        ),
      );
    }
  });

  test('without any agent there is nobody to make them', () => {
    const app = new Declared();
    app.topic('flights').sink(ignore);
    app.changes(app.table('counts')).sink(ignore);
    expectError(
      'MR_TOPOLOGY_INVALID',
      () => app.build(),
      /no declared stream updates the table and no agent could/,
    );
  });

  test('that nobody follows are no matter', () => {
    const app = new Declared();
    app.topic('flights').sink(ignore);
    app.changes(app.table('counts'));
    expect(app.names()).toEqual(['flights']);
  });
});

describe('changes that lead back', () => {
  test('to their own table are refused, however far round', () => {
    const near = new Declared();
    const table = near.table('counts');
    near.topic('flights').update(table, count);
    near.changes(table).update(table, count);
    const far = new Declared();
    const [a, b] = [far.table('counts'), far.table('others')];
    far.topic('flights').update(a, count);
    far.changes(a).update(b, count);
    far.changes(b).update(a, count);
    for (const app of [near, far])
      expectError(
        'MR_TOPOLOGY_INVALID',
        () => app.build(),
        /the changes of table counts lead to an update of the same table/,
      );
  });
});

describe('the fingerprint', () => {
  const of = (windows: Parameters<typeof windowShape>[0]): string => {
    const app = new Declared();
    app.topic('flights').update(app.table('counts'), count);
    return fingerprint({ ...app.build(), windows: { counts: windowShape(windows) } });
  };

  test('holds size and step, and not how long windows take events', () => {
    expect(orphans(of(hoppingWindow(10, 5)), of(hoppingWindow(10, 5, { grace: 7 })))).toEqual([]);
    expect(orphans(of(hoppingWindow(10, 5)), of(hoppingWindow(10, 2)))).toEqual([
      '~ table counts has windows of 10 ms every 5 ms and would have windows of 10 ms every 2 ms',
    ]);
    expect(orphans(of(tumblingWindow(10)), of(hoppingWindow(10, 5)))).toEqual([
      '~ table counts has windows of 10 ms and would have windows of 10 ms every 5 ms',
    ]);
  });

  test('does not change with who follows a table', () => {
    const [one, two] = [new Declared(), new Declared()];
    for (const app of [one, two]) {
      const counts = app.table('counts');
      app.topic('flights').update(counts, count);
      if (app === two) app.changes(counts).sink(ignore);
    }
    expect(fingerprint(one.build())).toBe(fingerprint(two.build()));
  });
});
