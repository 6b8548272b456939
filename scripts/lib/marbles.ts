/**
 * Pictures of what operators do, as text: a line for each stream, time from left to right, `|` where a stream ends.
 *
 * What is drawn has happened: the operator runs on a virtual clock.
 *
 * @module
 */
import { sleep, VirtualClock } from '../../src/core/clock.ts';
import { Stream } from '../../src/stream/stream.ts';

/** How long everything has to come to its end behind what is shown. */
const AFTER_MS = 60_000;

/** What the streams in front of an operator do. */
export interface Script {
  readonly rows: readonly string[];
  readonly inputs: readonly Input[];
  /** Whether no value is emitted before the one in front of it has been answered. */
  readonly waits?: boolean | undefined;
}

/** A function that takes three seconds for a value. */
export type Slow = <T>(value: T) => Promise<T>;

/** A value of a stream, another row's stream as a value, or its end. */
export type Input = { readonly atMs: number; readonly row: string } & (
  | { readonly value: unknown }
  | { readonly stream: string }
  | { readonly ends: true }
);

/** What a stream did. */
export interface Row {
  readonly label: string;
  readonly beganMs: number;
  readonly values: { readonly atMs: number; readonly value: unknown }[];
  endedMs?: number;
}

/**
 * Streams as marbles: a character is a step of time, `-` a step without a value, `|` the end. A digit is a number, the name of another row that
 * stream, everything else itself.
 */
export function scriptOf(
  marbles: Readonly<Record<string, string>>,
  stepMs: number,
): Pick<Script, 'rows' | 'inputs'> {
  const rows = Object.keys(marbles);
  const inputs = rows.flatMap((row) =>
    Array.from(marbles[row] ?? '').flatMap((char, step): Input[] => {
      const at = { atMs: step * stepMs, row };
      if (char === '-') return [];
      if (char === '|') return [{ ...at, ends: true }];
      if (rows.includes(char)) return [{ ...at, stream: char }];
      return [{ ...at, value: /\d/.test(char) ? Number(char) : char }];
    }),
  );
  return { rows, inputs: inputs.toSorted((a, b) => a.atMs - b.atMs) };
}

/**
 * Lets the streams do what the script says and watches what comes out of the operator: one stream, or several by their names. Streams that come out
 * as values are watched too.
 *
 * @param operator Gets the streams and a {@link Slow} function.
 * @param untilMs How long it is watched.
 * @throws what an emit or a close rejects with: a mistake in the picture.
 */
export async function perform(
  { rows: names, inputs, waits = false }: Script,
  operator: (...given: never[]) => unknown,
  label: string,
  untilMs: number,
): Promise<Row[]> {
  const clock = new VirtualClock();
  const streams = new Map(names.map((name) => [name, new Stream({ name, clock })]));
  /** In the order of the picture. */
  const seen = new Map<unknown, Row>();
  const watch = (stream: Stream<unknown, unknown>, name: string): Row => {
    const row: Row = { label: name, beganMs: clock.monotonic(), values: [] };
    seen.set(stream, row);
    stream.sink((value) => {
      if (clock.monotonic() > untilMs) return;
      row.values.push({ atMs: clock.monotonic(), value });
      for (const part of [value].flat())
        if (part instanceof Stream && !seen.has(part)) watchToTheEnd(part, `  ${part.name}`);
    });
    return row;
  };
  const watchToTheEnd = (stream: Stream<unknown, unknown>, name: string): void => {
    const row = watch(stream, name);
    void stream.toArray().then(() => (row.endedMs = clock.monotonic()));
  };
  for (const [name, stream] of streams) watch(stream, name);

  const slow: Slow = (value) => sleep(clock, 3_000).then(() => value);
  const made = operator(...([...streams.values(), slow] as never[]));
  if (made instanceof Stream) watchToTheEnd(made, label);
  else
    for (const [name, stream] of Object.entries(made as Readonly<Record<string, Stream>>))
      watchToTheEnd(stream, name);

  const failures: unknown[] = [];
  const does = async (input: Input): Promise<void> => {
    const stream = streams.get(input.row) as Stream;
    try {
      if ('ends' in input) {
        (seen.get(stream) as Row).endedMs = clock.monotonic();
        await stream.close();
      } else await stream.emit('stream' in input ? streams.get(input.stream) : input.value);
    } catch (error) {
      failures.push(error);
    }
  };
  const act = async (): Promise<void> => {
    for (const input of inputs) {
      const leftMs = input.atMs - clock.monotonic();
      if (leftMs > 0) await sleep(clock, leftMs);
      const done = does(input);
      if (waits) await done;
    }
  };
  void act();
  await clock.advance(untilMs + AFTER_MS);
  if (failures.length > 0) throw failures[0];
  return [...seen.values()];
}

/** Draws rows below each other, a column for each step. `unit` puts a line with the time above them. */
export function draw(
  rows: readonly Row[],
  stepMs: number,
  steps: number,
  unit?: 's' | 'ms',
): string {
  const columns = Array.from({ length: steps }, (_, step) => step);
  const cells = rows.map((row) => columns.map((step) => cellOf(row, step, stepMs)));
  const times = columns.map((step) => String((step * stepMs) / (unit === 's' ? 1_000 : 1)));
  const widths = columns.map((step) =>
    Math.max(
      1,
      unit === undefined ? 0 : (times[step] ?? '').length,
      ...cells.map((row) => (row[step] ?? '').length),
    ),
  );
  const labels = [unit ?? '', ...rows.map(({ label }) => label)];
  const margin = Math.max(...labels.map((label) => label.length)) + 2;
  const ruler = times.map((time, step) => time.padEnd((widths[step] ?? 0) + 1)).join('');
  const lines = rows.map((row, i) => {
    const drawn = columns.map((step) => {
      const width = (widths[step] ?? 0) + 1;
      const text = cells[i]?.[step] ?? '';
      if (text.endsWith('|') || step * stepMs > (row.endedMs ?? Infinity))
        return text.padEnd(width);
      return (step + 1) * stepMs <= row.beganMs ? ' '.repeat(width) : text.padEnd(width, '-');
    });
    return `${row.label.padEnd(margin)}${drawn.join('')}`.trimEnd();
  });
  return [
    ...(unit === undefined ? [] : [`${unit.padEnd(margin)}${ruler}`.trimEnd()]),
    ...lines,
  ].join('\n');
}

/** The text of a page with the pictures between its marks as they are now. @throws for a mark without a picture. */
export function withPictures(page: string, pictures: ReadonlyMap<string, string>): string {
  return page.replaceAll(/<!-- marbles: (.+?) -->.*?<!-- \/marbles -->/gs, (_, name: string) => {
    const picture = pictures.get(name);
    if (picture === undefined) throw new Error(`there is no picture ${name}`);
    return `<!-- marbles: ${name} -->\n\n\`\`\`text\n${picture}\n\`\`\`\n\n<!-- /marbles -->`;
  });
}

/** The names of the pictures that a page has marks for. */
export function marksOf(page: string): string[] {
  return [...page.matchAll(/<!-- marbles: (.+?) -->/g)].map(([, name]) => name as string);
}

function cellOf({ values, endedMs }: Row, step: number, stepMs: number): string {
  const within = (atMs: number): boolean => Math.floor(atMs / stepMs) === step;
  const texts = values.filter(({ atMs }) => within(atMs)).map(({ value }) => textOf(value));
  return texts.join('-') + (endedMs !== undefined && within(endedMs) ? '|' : '');
}

function textOf(value: unknown): string {
  if (value instanceof Stream) return value.name;
  if (Array.isArray(value)) return `[${value.map(textOf).join(',')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}:${textOf(field)}`);
  return `{${fields.join(',')}}`;
}
