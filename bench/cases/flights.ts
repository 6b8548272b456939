/**
 * The app of the demo: filter, table, windows, results; exactly once, every commit synced. Formats and schemas beside the limit.
 *
 * @module
 */
import { msgpack } from 'millrace';
import { z } from 'zod';

import { flightsApp } from '../../examples/flights/app.ts';
import type { FlightsOptions } from '../../examples/flights/app.ts';
import type { Flight } from '../../examples/flights/dataset.ts';
import { fillFlights } from '../lib/flights-input.ts';
import { countLimit } from '../lib/limit.ts';
import type { Case, PartOptions } from '../lib/stage.ts';
import { workThrough } from '../lib/work.ts';

const schema = z.object({
  date: z.number(),
  delay: z.number(),
  distance: z.number(),
  origin: z.string(),
  destination: z.string(),
});

/** How values are written and checked. */
const kinds: Readonly<Record<string, FlightsOptions>> = {
  json: {},
  zod: { schema, validate: 'both' },
  msgpack: { codec: msgpack },
};

function options(directory: string, { kind = 'json' }: PartOptions): FlightsOptions {
  return { broker: `file:${directory}`, ...kinds[kind] };
}

const flights: Case = {
  name: 'flights',
  title: 'the app of the demo, one process, exactly once, every commit synced',
  parts: {
    fill: (directory, part) => fillFlights(options(directory, part), Number(part['events'])),
    work: (directory, part) =>
      workThrough(flightsApp(options(directory, part)).app, Number(part['events'])),
    limit: (directory) => countLimit(directory, ({ origin }: Flight) => origin),
  },
  run(stage) {
    const events = stage.size(2_000_000);
    const json = stage.make('json', 'fill', { kind: 'json', events });
    const packed = stage.make('msgpack', 'fill', { kind: 'msgpack', events });
    const limit = stage.best('limit', json);
    const packedLimit = stage.best('limit', packed);
    const work = stage.bestOnCopies('work', json, { kind: 'json', events });
    const checked = stage.bestOnCopies('work', json, { kind: 'zod', events });
    const packedWork = stage.bestOnCopies('work', packed, { kind: 'msgpack', events });
    stage.throughput('limit: read frames, JSON.parse, Map', limit, limit);
    stage.throughput('JSON, not checked', work, limit);
    stage.throughput('JSON, zod', checked, limit);
    stage.throughput('limit: read frames, decode msgpack, Map', packedLimit, packedLimit);
    stage.throughput('msgpack, not checked', packedWork, packedLimit);
    const share = (work['perSecond'] ?? 0) / (limit['perSecond'] ?? 1);
    stage.goal({ what: 'JSON', value: work['perSecond'] ?? 0, unit: 'events/s', least: 700_000 });
    stage.goal({
      what: 'msgpack',
      value: packedWork['perSecond'] ?? 0,
      unit: 'events/s',
      least: 1_000_000,
    });
    stage.goal({ what: 'JSON against its limit', value: share, unit: 'of it', least: 1 / 3 });
  },
};
export default flights;
