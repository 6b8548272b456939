/**
 * Flights in a directory, and in memory.
 *
 * @module
 */
import { flightsApp } from '../../examples/flights/app.ts';
import type { FlightsOptions } from '../../examples/flights/app.ts';
import type { Flight } from '../../examples/flights/dataset.ts';
import type { Figures } from './figures.ts';

/** What the workers work on: the real sequence of flights. */
export async function fillFlights(options: FlightsOptions, rows: number): Promise<Figures> {
  const { openFlights } = await import('../../examples/flights/dataset.ts');
  const { load } = await import('../../examples/flights/load.ts');
  const flights = flightsApp(options);
  await load(flights, await openFlights(rows), {
    rows,
    keyedBy: options.keyedBy ?? 'origin',
    onStart: () => undefined,
    onProgress: () => undefined,
  });
  await flights.app.close();
  return {};
}

/** The first `count` flights. */
export async function someFlights(count: number): Promise<readonly Flight[]> {
  const { openFlights, readFlights } = await import('../../examples/flights/dataset.ts');
  const connection = await openFlights(count);
  const flights: Flight[] = [];
  for await (const chunk of readFlights(connection, 0)) flights.push(...chunk);
  connection.closeSync();
  return flights;
}
