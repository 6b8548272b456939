/**
 * The app of the demo over flights that are keyed by their destination: every one goes through a repartition topic to the task of its origin.
 *
 * @module
 */
import { flightsApp } from '../../examples/flights/app.ts';
import type { FlightsOptions } from '../../examples/flights/app.ts';
import type { Flight } from '../../examples/flights/dataset.ts';
import { fillFlights } from '../lib/flights-input.ts';
import { countLimit } from '../lib/limit.ts';
import type { Case } from '../lib/stage.ts';
import { workThrough } from '../lib/work.ts';

function options(directory: string): FlightsOptions {
  return { broker: `file:${directory}`, keyedBy: 'destination' };
}

const groupBy: Case = {
  name: 'group-by',
  title: "the same behind groupBy('origin'), flights being keyed by destination",
  parts: {
    fill: (directory, { events }) => fillFlights(options(directory), Number(events)),
    work: (directory, { events }) =>
      workThrough(flightsApp(options(directory)).app, Number(events)),
    limit: (directory) => countLimit(directory, ({ origin }: Flight) => origin),
  },
  run(stage) {
    const events = stage.size(1_500_000);
    const input = stage.make('input', 'fill', { events });
    const limit = stage.best('limit', input);
    const work = stage.bestOnCopies('work', input, { events });
    stage.throughput('limit: read frames, JSON.parse, Map', limit, limit);
    stage.throughput("JSON, groupBy('origin')", work, limit);
    stage.goal({
      what: 'groupBy',
      value: work['perSecond'] ?? 0,
      unit: 'events/s',
      least: 300_000,
    });
  },
};
export default groupBy;
