/** A topology as data and as a flowchart. */
import { expect, test } from 'vitest';
import { topologyData, topologyMermaid } from '../../src/topology/formats.ts';
import { count, Declared, ignore } from './graph.ts';

function departures(): Declared {
  const app = new Declared();
  const late = app.table('late');
  app.topic('departures').groupBy('origin').update(late, count);
  app.changes(late).sink(ignore);
  app.topic('departures').through(app.target('copies', 1)).sink(ignore);
  app.agent('mailer', app.topic('mails', 1));
  return app;
}

test('data names what a sub-topology reads, keeps and feeds', () => {
  const { app, tables, subTopologies } = topologyData(departures().build());
  expect({ app, tables }).toEqual({ app: 'app', tables: ['late'] });
  const nothing = { tables: [], states: [], agents: [], closes: [], follows: [], feeds: [] };
  expect(subTopologies).toEqual([
    {
      ...nothing,
      name: 'agent-mailer',
      tasks: 1,
      asynchronous: true,
      inputs: [{ topic: 'mails', role: 'source', partitions: 1 }],
      agents: ['mailer'],
    },
    {
      ...nothing,
      name: 'copies',
      tasks: 1,
      asynchronous: false,
      inputs: [{ topic: 'copies', role: 'source', partitions: 1 }],
    },
    {
      ...nothing,
      name: 'departures',
      tasks: 4,
      asynchronous: false,
      inputs: [{ topic: 'departures', role: 'source', partitions: 4 }],
      feeds: [
        { topic: 'app-departures-origin-repartition', partitions: 4 },
        { topic: 'copies', partitions: 1 },
      ],
    },
    {
      ...nothing,
      name: 'departures-origin',
      tasks: 4,
      asynchronous: false,
      inputs: [{ topic: 'app-departures-origin-repartition', role: 'repartition', partitions: 4 }],
      tables: ['late'],
      follows: ['late'],
    },
  ]);
});

test('a flowchart leads through all topics', () => {
  expect(topologyMermaid(departures().build())).toBe(`flowchart LR
  n0["agent-mailer, 1 task"]
  n1[["mails"]]
  n1 --> n0
  n2(["mailer"])
  n0 --> n2
  n3["copies, 1 task"]
  n4[["copies"]]
  n4 --> n3
  n5["departures, 4 tasks"]
  n6[["departures"]]
  n6 --> n5
  n7[["app-departures-origin-repartition"]]
  n5 --> n7
  n5 --> n4
  n8["departures-origin, 4 tasks"]
  n7 --> n8
  n9[("late")]
  n8 --- n9`);
});
