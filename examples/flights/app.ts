/**
 * The app of the demo: what it reads, keeps and sends.
 *
 * @module
 */
import { App, unchecked } from 'millrace';
import type { AppOptions, Schema, Table, Topic, Validate, WindowedTable } from 'millrace';

import type { Flight } from './dataset.ts';

/** Flights and their delays of one airport. The mean is `minutes / flights`. */
export interface Airport {
  readonly flights: number;
  readonly minutes: number;
}

/** How many flights left an airport late in one hour: final, once the hour is over. */
export interface LateHour {
  readonly origin: string;
  /** Start of the hour, milliseconds since 1970. */
  readonly hour: number;
  readonly flights: number;
}

export interface Alert {
  readonly date: number;
  readonly origin: string;
  readonly destination: string;
  readonly delay: number;
}

export interface FlightsApp {
  readonly app: App;
  readonly departures: Topic<string, Flight>;
  readonly airports: Table<string, Airport, Airport>;
  readonly late: WindowedTable<string, number, number>;
  readonly lateHours: Topic<string | null, LateHour>;
  readonly alerts: Topic<string | null, Alert>;
}

/** How the app is put together, for the demo, the benchmarks and the fault tests. */
export interface FlightsOptions extends AppOptions {
  /** What departures are keyed by. By destination, both tables are fed through `groupBy('origin')`. Default `'origin'`. */
  readonly keyedBy?: 'origin' | 'destination' | undefined;
  /** Schema of departures. Default: a type without a check. */
  readonly schema?: Schema<Flight> | undefined;
  readonly validate?: Validate | undefined;
}

/** Declares the app. */
export function flightsApp(options: FlightsOptions): FlightsApp {
  const { keyedBy = 'origin', schema = unchecked<Flight>(), validate = 'off', ...rest } = options;
  const app = new App('flights', rest);
  const departures = app.topic('departures', {
    key: unchecked<string>(),
    value: schema,
    partitions: 8,
    timestamp: (flight) => flight.date,
    validate,
  });
  const lateHours = app.topic('late-hours', { value: unchecked<LateHour>() });
  const alerts = app.topic('alerts', {
    value: unchecked<Alert>(),
    timestamp: (alert) => alert.date,
  });

  const airports = app.table('airports', { default: (): Airport => ({ flights: 0, minutes: 0 }) });
  const late = app
    .table('late', { default: () => 0 })
    .tumbling('1h', { grace: '10m', retention: '7d' });

  const byOrigin =
    keyedBy === 'origin' ? departures.stream() : departures.stream().groupBy('origin');
  byOrigin.update(airports, (airport, flight) => ({
    flights: airport.flights + 1,
    minutes: airport.minutes + flight.delay,
  }));
  byOrigin.filter((flight) => flight.delay > 15).update(late, (flights) => flights + 1);
  late
    .closed()
    .map(({ key, window, value }) => ({ origin: key, hour: window.start, flights: value }))
    .sink(lateHours);
  departures
    .stream()
    .filter((flight) => flight.delay > 300)
    .map(({ date, origin, destination, delay }) => ({ date, origin, destination, delay }))
    .sink(alerts);

  return { app, departures, airports, late, lateHours, alerts };
}
