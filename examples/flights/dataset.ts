/**
 * Three million US flights of the first half of 2001, in the order of their departure: npm package `vega-datasets`, read with DuckDB.
 *
 * @module
 */
import { fileURLToPath } from 'node:url';

import { DuckDBInstance } from '@duckdb/node-api';
import type { DuckDBConnection } from '@duckdb/node-api';

/** One departure. */
export interface Flight {
  /** Scheduled departure, milliseconds since 1970. */
  readonly date: number;
  /** Departure delay, minutes; negative when early. */
  readonly delay: number;
  /** Miles. */
  readonly distance: number;
  readonly origin: string;
  readonly destination: string;
}

const file = fileURLToPath(
  new URL('../../node_modules/vega-datasets/data/flights-3m.parquet', import.meta.url),
);

/** All flights there are. */
export const TOTAL = 3_000_000;

/** A connection whose view `flights` holds the first `rows` flights. */
export async function openFlights(rows: number): Promise<DuckDBConnection> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  await connection.run(
    `create view flights as select file_row_number as row, epoch_ms(date)::double as date, delay::integer as delay,
       distance::integer as distance, origin, destination
     from read_parquet('${file.replaceAll("'", "''")}', file_row_number = true) where file_row_number < ${rows}`,
  );
  return connection;
}

/** The flights from row `from` on, in order, in chunks of about two thousand. */
export async function* readFlights(
  connection: DuckDBConnection,
  from: number,
): AsyncIterableIterator<readonly Flight[]> {
  const result = await connection.stream(
    `select date, delay, distance, origin, destination from flights where row >= ${from} order by row`,
  );
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) return;
    const [date, delay, distance, origin, destination] = chunk.getColumns() as [
      number[],
      number[],
      number[],
      string[],
      string[],
    ];
    yield date.map((at, i) => ({
      date: at,
      delay: delay[i] ?? 0,
      distance: distance[i] ?? 0,
      origin: origin[i] ?? '',
      destination: destination[i] ?? '',
    }));
  }
}
