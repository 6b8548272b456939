/**
 * Loads the flights into the topic, from where the last run stopped.
 *
 * @module
 */
import type { DuckDBConnection } from '@duckdb/node-api';

import type { FlightsApp } from './app.ts';
import { readFlights } from './dataset.ts';

/** Appends flights `from` the producer's position up to `rows`. `onProgress` is called with the rows acknowledged so far. */
export async function load(
  { departures }: FlightsApp,
  connection: DuckDBConnection,
  options: {
    readonly rows: number;
    readonly keyedBy: 'origin' | 'destination';
    readonly onStart: (from: number) => void;
    readonly onProgress: (loaded: number) => void;
  },
): Promise<void> {
  const producer = await departures.producer<number>({ id: 'flights-loader' });
  const from = producer.position ?? 0;
  options.onStart(from);
  if (from >= options.rows) return;
  let row = from;
  for await (const flights of readFlights(connection, from)) {
    for (const flight of flights) {
      row++;
      const wait = producer.send(flight, { key: flight[options.keyedBy], position: row });
      if (wait !== undefined) await wait;
    }
    options.onProgress(from + producer.acknowledged);
  }
  await producer.close();
}
