import { describe, expect, test } from 'vitest';

import { checkChange, differences, fingerprint, orphans } from '../../src/topology/compare.ts';
import { printTopology } from '../../src/topology/print.ts';
import { errorOf, expectError } from '../codec/support.ts';
import { count, Declared, ignore } from './graph.ts';

/** The fingerprint of what `declare` declares. */
function of(declare: (app: Declared) => void): string {
  const app = new Declared();
  declare(app);
  return fingerprint(app.build());
}

/** Late departures by origin, and a total per task. */
function flights(app: Declared, partitions = 4): void {
  const late = app.table('late');
  const stream = app.topic('flights', partitions);
  stream.groupBy('origin').update(late, count);
  stream.accumulate((n: number) => n, { start: 0, name: 'total' }).sink(ignore);
}

const stored = of(flights);

describe('fingerprint', () => {
  test('says which state belongs to what', () => {
    expect(JSON.parse(stored)).toEqual({
      format: 1,
      subTopologies: [
        { name: 'flights', partitions: 4, inputs: ['flights'], states: ['flights.total'] },
        {
          name: 'flights-origin',
          partitions: 4,
          inputs: ['app-flights-origin-repartition'],
          states: ['late'],
        },
      ],
      tables: ['late'],
      windows: {},
    });
  });

  test('is the same for the same app, declared in another order', () => {
    const again = of((app) => {
      const stream = app.topic('flights');
      stream.accumulate((n: number) => n, { start: 0, name: 'total' }).sink(ignore);
      stream.groupBy('origin').update(app.table('late'), count);
    });
    expect(again).toBe(stored);
    expect(orphans(stored, again)).toEqual([]);
  });

  test('says nothing of what has no state', () => {
    const again = of((app) => {
      const stream = app.topic('flights').filter((row) => row.delay > 15);
      stream.groupBy('origin').update(app.table('late'), count);
      stream.accumulate((n: number) => n, { start: 0, name: 'total' }).sink(ignore);
    });
    expect(again).toBe(stored);
  });
});

describe('a change that leaves nothing behind', () => {
  test.each<[string, (app: Declared) => void]>([
    ['none', () => {}],
    ['a table', (app) => app.topic('flights').groupBy('destination').update(app.table('b'), count)],
    ['a table that only agents use', (app) => void app.table('b')],
    ['a topic', (app) => app.topic('weather').update(app.table('b'), count)],
    ['an agent', (app) => app.agent('watch', app.topic('flights'))],
    ['a state', (app) => app.topic('flights').enumerate().sink(ignore)],
  ])('added: %s', (_, add) => {
    const next = of((app) => {
      flights(app);
      add(app);
    });
    expect(orphans(stored, next)).toEqual([]);
    expect(() => checkChange('app', stored, next)).not.toThrow();
  });

  test('a first start', () => {
    expect(() => checkChange('app', undefined, stored)).not.toThrow();
  });

  test('a part without state is taken away', () => {
    const before = of((app) => {
      flights(app);
      app.topic('weather').groupBy('origin').sink(ignore);
      app.agent('watch', app.topic('flights'));
    });
    expect(orphans(before, stored)).toEqual([]);
  });
});

describe('a change that would leave state behind', () => {
  const changes = (declare: (app: Declared) => void, before = stored): readonly string[] =>
    orphans(before, of(declare));

  test('a table is not declared any more', () => {
    const next = (app: Declared): void => {
      app
        .topic('flights')
        .accumulate((n: number) => n, { start: 0, name: 'total' })
        .sink(ignore);
    };
    expect(changes(next)).toEqual(['- late (state of flights-origin) is not declared any more']);
  });

  test('a table that only agents used is not declared any more', () => {
    const before = of((app) => {
      flights(app);
      app.table('seen');
    });
    expect(orphans(before, stored)).toEqual(['- table seen is not declared any more']);
  });

  test('an operator with state is renamed', () => {
    const next = (app: Declared): void => {
      const stream = app.topic('flights');
      stream.groupBy('origin').update(app.table('late'), count);
      stream.accumulate((n: number) => n, { start: 0 }).sink(ignore);
    };
    expect(changes(next)).toEqual(['- flights.total (state of flights) is not declared any more']);
  });

  test('a table moves behind another groupBy', () => {
    const next = (app: Declared): void => {
      const stream = app.topic('flights');
      stream.groupBy('destination').update(app.table('late'), count);
      stream.accumulate((n: number) => n, { start: 0, name: 'total' }).sink(ignore);
    };
    expect(changes(next)).toEqual(['~ late would move from flights-origin to flights-destination']);
  });

  test('a table is declared as before, but no declared stream updates it any more', () => {
    const next = (app: Declared): void => {
      app.table('late');
      app.agent('watch', app.topic('flights').groupBy('origin'));
      app
        .topic('flights')
        .accumulate((n: number) => n, { start: 0, name: 'total' })
        .sink(ignore);
    };
    expect(changes(next)).toContain(
      '~ late would move out of flights-origin: no declared stream updates it any more',
    );
  });

  test('partitions change', () => {
    expect(changes((app) => flights(app, 8))).toEqual([
      '~ flights would have 8 partitions instead of 4',
      '~ flights-origin would have 8 partitions instead of 4',
    ]);
  });

  test('a part takes over a topic from another and would read it again from its start', () => {
    const before = of((app) => app.topic('a').sink(ignore));
    const joined = (app: Declared): void => void app.topic('a').union(app.topic('b')).sink(ignore);
    expect(changes(joined, before)).toEqual([
      '~ a would become a.b, which would read a again from its start',
    ]);
    const agent = of((app) => app.agent('watch', app.topic('a')));
    expect(changes((app) => app.agent('see', app.topic('a')), agent)).toEqual([
      '~ agent-watch would become agent-see, which would read a again from its start',
    ]);
  });

  test('is refused with all differences', () => {
    const next = of((app) => {
      app.topic('flights', 8).update(app.table('other'), count);
    });
    const error = errorOf(() => checkChange('flights', stored, next));
    expect(error.code).toBe('MR_TOPOLOGY_CHANGED');
    expect(error.message).toBe(
      [
        'app flights was changed in a way that would leave stored state behind:',
        '  - flights.total (state of flights) is not declared any more',
        '  ~ flights would have 8 partitions instead of 4',
        '  - late (state of flights-origin) is not declared any more',
        "Take the change back, say with the option rename what something was called before, or raise the app's version to start afresh.",
      ].join('\n'),
    );
    expect(error.details).toEqual({
      app: 'flights',
      changes: [
        '- flights.total (state of flights) is not declared any more',
        '~ flights would have 8 partitions instead of 4',
        '- late (state of flights-origin) is not declared any more',
      ],
    });
  });

  test('a fingerprint of a newer version is not guessed at', () => {
    expectError(
      'MR_VERSION_UNSUPPORTED',
      () => checkChange('flights', '{"format":2}', stored),
      'app flights was last started by a newer version of millrace; upgrade this one',
    );
  });
});

describe('picture', () => {
  test('of nothing', () => {
    expect(printTopology(new Declared().build())).toBe('app app');
  });

  test('lists what each part reads, keeps and feeds', () => {
    const app = new Declared();
    flights(app);
    const hourly = app.table('hourly');
    app.topic('flights').groupBy('destination', { partitions: 1 }).update(hourly, count);
    app.closed(hourly).sink(ignore);
    app.agent('watch', app.topic('flights'));
    expect(printTopology(app.build())).toBe(
      [
        'app app',
        '  agent-watch: 4 tasks, asynchronous',
        '    reads   flights (4 partitions)',
        '    agent   watch',
        '  flights: 4 tasks',
        '    reads   flights (4 partitions)',
        '    state   flights.total',
        '    feeds   app-flights-destination-repartition (1 partition)',
        '    feeds   app-flights-origin-repartition (4 partitions)',
        '  flights-destination: 1 task',
        '    reads   app-flights-destination-repartition (1 partition)',
        '    table   hourly',
        '    closes  windows of hourly',
        '  flights-origin: 4 tasks',
        '    reads   app-flights-origin-repartition (4 partitions)',
        '    table   late',
      ].join('\n'),
    );
  });
});

describe('the length of windows', () => {
  const windows = (late: number | undefined): string =>
    fingerprint({
      app: 'app',
      subTopologies: [],
      tables: ['late'],
      windows: late === undefined ? {} : { late },
    });

  test('is part of what is stored', () => {
    expect(orphans(windows(60_000), windows(60_000))).toEqual([]);
    expect(orphans(windows(60_000), windows(3_600_000))).toEqual([
      '~ table late has windows of 60000 ms and would have windows of 3600000 ms',
    ]);
    expect(orphans(windows(60_000), windows(undefined))).toEqual([
      '~ table late has windows of 60000 ms and would have none',
    ]);
  });
});

describe('what is not the same in two apps', () => {
  const one = of((app) => {
    const numbers = app.topic('numbers', 4);
    numbers.update(app.table('sums'), count);
    numbers.groupBy('origin').update(app.table('origins'), count);
    app.table('plain');
  });
  const two = of((app) => {
    app.topic('numbers', 8).update(app.table('totals'), count);
  });

  test('nothing', () => {
    expect(differences(one, one)).toEqual([]);
  });

  test('parts, states, tables and partitions, from either side', () => {
    expect(differences(one, two)).toEqual([
      '+ sums, state of numbers',
      '+ numbers-origin, which reads app-numbers-origin-repartition',
      '+ table origins',
      '+ table plain',
      '+ table sums',
      '- totals, state of numbers',
      '- table totals',
      '~ numbers has 4 partitions instead of 8',
    ]);
    expect(differences(two, one)).toEqual(
      expect.arrayContaining(['+ table totals', '- table plain']),
    );
  });

  test('inputs and windows', () => {
    const mail = (inputs: readonly string[], hours: number | undefined): string =>
      JSON.stringify({
        format: 1,
        subTopologies: [{ name: 'agent-mail', partitions: 4, inputs, states: [] }],
        tables: ['late'],
        windows: hours === undefined ? {} : { late: hours * 3_600_000 },
      });
    expect(differences(mail(['a', 'b'], 1), mail(['a'], 2))).toEqual([
      '~ agent-mail reads a and b instead of a',
      '~ table late has windows of 3600000 ms instead of windows of 7200000 ms',
    ]);
    expect(differences(mail(['a'], undefined), mail(['a'], 2))).toEqual([
      '~ table late has no windows instead of windows of 7200000 ms',
    ]);
  });
});
