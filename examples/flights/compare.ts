/**
 * Compares what the app kept and sent with the answers of DuckDB on the same flights.
 *
 * @module
 */
import type { DuckDBConnection } from '@duckdb/node-api';
import type { Topic } from 'millrace';

import type { FlightsApp } from './app.ts';

/** What one comparison found. */
export interface Comparison {
  readonly what: string;
  /** Rows that DuckDB gives. */
  readonly rows: number;
  /** The first differences, in words; none when all is equal. */
  readonly differences: readonly string[];
}

const MOST = 5;

/** The three results of the app against DuckDB. Call when the app has settled. */
export async function compare(
  flights: FlightsApp,
  connection: DuckDBConnection,
): Promise<Comparison[]> {
  return [
    await compareAirports(flights, connection),
    await compareLateHours(flights, connection),
    await compareAlerts(flights, connection),
  ];
}

async function compareAirports(
  { airports }: FlightsApp,
  connection: DuckDBConnection,
): Promise<Comparison> {
  const found = new Map<string, string>();
  for await (const [origin, { flights, minutes }] of airports.snapshot())
    found.set(origin, `${flights} flights, mean delay ${minutes / flights}`);
  const wanted = await ask(
    connection,
    'select origin, count(*)::double as flights, sum(delay)::double / count(*) as mean from flights group by origin',
    (row) => [
      String(row['origin']),
      `${Number(row['flights'])} flights, mean delay ${Number(row['mean'])}`,
    ],
  );
  return difference('flights and mean delay per airport', found, wanted);
}

/** Windows that are closed are in the topic, each once; those that are still open are in the table. */
async function compareLateHours(
  flights: FlightsApp,
  connection: DuckDBConnection,
): Promise<Comparison> {
  const found = new Map<string, string>();
  const doubled: string[] = [];
  for await (const { origin, hour, flights: count } of readAll(flights.lateHours)) {
    const key = `${origin} ${new Date(hour).toISOString()}`;
    if (found.has(key)) doubled.push(`${key} was sent twice`);
    found.set(key, String(count));
  }
  const last = await connection.runAndReadAll('select max(date) as last from flights');
  const streamTime = Number(last.getRowObjects()[0]?.['last']);
  for await (const { key: origin, window, value } of flights.late.snapshot()) {
    const key = `${origin} ${new Date(window.start).toISOString()}`;
    // A row that is kept after its window closed says what was sent.
    if (found.has(key) && found.get(key) !== String(value))
      doubled.push(`${key}: sent ${found.get(key)}, kept ${value}`);
    if (!found.has(key) && window.end + 600_000 < streamTime - 86_400_000)
      doubled.push(`${key} was never closed`);
    found.set(key, String(value));
  }
  const wanted = await ask(
    connection,
    `select origin, floor(date / 3600000) * 3600000 as hour, count(*)::double as flights
     from flights where delay > 15 group by all`,
    (row) => [
      `${String(row['origin'])} ${new Date(Number(row['hour'])).toISOString()}`,
      String(row['flights']),
    ],
  );
  const compared = difference('late departures per airport and hour', found, wanted);
  return { ...compared, differences: [...doubled.slice(0, MOST), ...compared.differences] };
}

async function compareAlerts(
  { alerts }: FlightsApp,
  connection: DuckDBConnection,
): Promise<Comparison> {
  const found = new Map<string, number>();
  for await (const alert of readAll(alerts)) add(found, JSON.stringify(alert));
  const wanted = new Map<string, number>();
  const rows = await connection.runAndReadAll(
    'select date, origin, destination, delay from flights where delay > 300',
  );
  for (const row of rows.getRowObjects())
    add(
      wanted,
      JSON.stringify({
        date: row['date'],
        origin: row['origin'],
        destination: row['destination'],
        delay: row['delay'],
      }),
    );
  const compared = difference('alerts of delays over five hours', texts(found), texts(wanted));
  return { ...compared, rows: rows.currentRowCount };
}

/** Everything that a topic holds. */
async function* readAll<V>(
  topic: Topic<never, V, never> | Topic<string | null, V>,
): AsyncIterableIterator<V> {
  for await (const { value } of topic.records()) yield value;
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function texts(counts: ReadonlyMap<string, number>): Map<string, string> {
  return new Map([...counts].map(([key, count]) => [key, `${count} times`]));
}

async function ask(
  connection: DuckDBConnection,
  sql: string,
  entry: (row: Record<string, unknown>) => readonly [string, string],
): Promise<Map<string, string>> {
  const result = await connection.runAndReadAll(sql);
  return new Map(result.getRowObjects().map(entry));
}

function difference(
  what: string,
  found: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
): Comparison {
  const differences: string[] = [];
  for (const [key, value] of wanted)
    if (found.get(key) !== value)
      differences.push(`${key}: ${found.get(key) ?? 'missing'}, DuckDB says ${value}`);
  for (const key of found.keys())
    if (!wanted.has(key)) differences.push(`${key}: not in DuckDB's answer`);
  return { what, rows: wanted.size, differences: differences.slice(0, MOST) };
}
