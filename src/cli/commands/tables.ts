/**
 * `millrace tables`: the tables of an app, and their committed rows.
 *
 * @module
 */
import { Command, Option } from 'commander';

import type { AnyTable, AnyWindowRow, AppParts } from '../../app/parts.ts';
import { canonicalKey } from '../../codec/key.ts';
import { MillraceError } from '../../core/errors.ts';
import { jsonOption, jsonValue, limit as parseLimit } from '../args.ts';
import { table as layOut } from '../columns.ts';
import type { Column } from '../columns.ts';
import { mustExist, withApp } from '../places.ts';
import { plain } from '../plain.ts';
import { Progress } from '../progress.ts';
import { text } from '../records.ts';
import { reasonOf } from '../terminal.ts';
import type { Terminal } from '../terminal.ts';
import { count, duration, time } from '../text.ts';

interface Flags {
  readonly key?: string | undefined;
  readonly keyJson?: unknown;
  readonly limit: number;
  readonly windows?: true | undefined;
  readonly json?: true | undefined;
}

interface Row {
  readonly key: unknown;
  /** Of tables with windows only. Milliseconds since 1970. */
  readonly window?: { readonly start: number; readonly end: number };
  readonly value: unknown;
}

/** Rows that are aligned with one another. */
const BLOCK = 1_000;
const DEFAULT_LIMIT = 100;

export function tablesCommand(terminal: Terminal): Command {
  return new Command('tables')
    .description('list the tables of an app, or print the committed rows of one')
    .argument('<module>', 'module that exports the app')
    .argument('[table]', 'print the rows of this one')
    .option('-k, --key <text>', 'only the rows of this key')
    .addOption(
      new Option('--key-json <json>', 'only the rows of a key that is no text')
        .argParser(jsonValue)
        .conflicts('key'),
    )
    .addOption(
      new Option('-n, --limit <count>', 'print at most so many rows; all for no limit')
        .argParser(parseLimit)
        .default(DEFAULT_LIMIT),
    )
    .option('--windows', 'count the rows of each window instead of printing them')
    .addOption(jsonOption('one JSON document; of rows one a line'))
    .addHelpText('after', '\nexample:\n  $ millrace tables app.ts spent --key ann\n')
    .action(async (module: string, name: string | undefined, flags: Flags) => {
      await withApp(module, async (_app, parts) => {
        if (name === undefined) await list(terminal, parts, flags);
        else if (flags.windows === true) await windows(terminal, parts, name, flags);
        else await rows(terminal, parts, name, flags);
      });
    });
}

async function list(terminal: Terminal, parts: AppParts, flags: Flags): Promise<void> {
  const topology = parts.topology();
  const found = [...parts.tables.keys()].map((name) => {
    const home = topology.subTopologies.find(({ tables }) => tables.includes(name));
    const shape = topology.windows[name];
    const [windowMs = null, stepMs = windowMs] =
      shape === undefined || typeof shape === 'number' ? [shape] : shape;
    return {
      table: name,
      windowMs,
      /** From one window to the next. */
      stepMs,
      /** `null`: only agents use it. */
      subTopology: home?.name ?? null,
      partitions: home?.partitions ?? null,
    };
  });
  if (flags.json === true) {
    await terminal.print(JSON.stringify(found));
    return;
  }
  await terminal.print(
    found.length === 0
      ? 'no tables'
      : layOut(
          found,
          [
            { title: 'table', cell: (row) => row.table },
            {
              title: 'windows',
              cell: ({ windowMs, stepMs }) => windowText(windowMs, stepMs),
            },
            { title: 'partitions', cell: (row) => row.partitions ?? undefined, right: true },
            { title: 'updated by', cell: (row) => row.subTopology ?? 'agents' },
          ],
          terminal,
        ),
  );
}

function windowText(windowMs: number | null, stepMs: number | null): string | undefined {
  if (windowMs === null) return undefined;
  const every = stepMs === null || stepMs === windowMs ? '' : ` every ${duration(stepMs)}`;
  return `${duration(windowMs)}${every}`;
}

async function rows(
  terminal: Terminal,
  parts: AppParts,
  name: string,
  flags: Flags,
): Promise<void> {
  const print = flags.json === true ? jsonPrinter(terminal) : blockPrinter(terminal);
  let printed = 0;
  let more = false;
  for await (const row of rowsOf(terminal, parts, name, flags)) {
    if (printed >= flags.limit) {
      more = true;
      break;
    }
    printed++;
    await print(row);
  }
  await print(undefined);
  if (more)
    terminal.complain(
      `there are more than ${count(flags.limit)} rows; add --limit all for all of them\n`,
    );
}

async function windows(
  terminal: Terminal,
  parts: AppParts,
  name: string,
  flags: Flags,
): Promise<void> {
  const counts = new Map<number, { start: number; end: number; rows: number }>();
  for await (const { window } of rowsOf(terminal, parts, name, flags)) {
    if (window === undefined)
      throw new MillraceError(
        'MR_ARGUMENT_INVALID',
        `table ${name} has no windows; leave --windows away`,
      );
    const known = counts.get(window.start);
    if (known === undefined) counts.set(window.start, { ...window, rows: 1 });
    else known.rows++;
  }
  const found = [...counts.values()].toSorted((a, b) => a.start - b.start);
  if (flags.json === true) {
    for (const each of found) await terminal.print(JSON.stringify(each));
    return;
  }
  await terminal.print(
    found.length === 0
      ? 'no rows'
      : layOut(
          found,
          [
            { title: 'from', cell: (row) => time(row.start) },
            { title: 'to', cell: (row) => time(row.end) },
            { title: 'rows', cell: (row) => count(row.rows), right: true },
          ],
          terminal,
        ),
  );
}

async function* rowsOf(
  terminal: Terminal,
  parts: AppParts,
  name: string,
  flags: Flags,
): AsyncGenerator<Row> {
  const found = mustTable(parts, name);
  mustExist(parts.brokerUrl);
  const windowed = parts.topology().windows[name] !== undefined;
  const wanted = flags.key ?? flags.keyJson;
  const identity = wanted === undefined ? undefined : canonicalKey.encode(wanted);
  const progress = new Progress(terminal, `reading ${name}`);
  let seen = 0;
  try {
    for await (const each of found.snapshot()) {
      if (terminal.signal.aborted) throw reasonOf(terminal.signal);
      progress.at(++seen, undefined, 'rows');
      const row = rowOf(each, windowed);
      if (identity !== undefined && Buffer.compare(canonicalKey.encode(row.key), identity) !== 0)
        continue;
      progress.end();
      yield row;
    }
  } finally {
    progress.end();
  }
}

function rowOf(row: unknown, windowed: boolean): Row {
  if (!windowed) {
    const [key, value] = row as readonly [unknown, unknown];
    return { key, value };
  }
  const { key, window, value } = row as AnyWindowRow;
  return { key, window: { start: window.start, end: window.end }, value };
}

/** @throws `MR_ARGUMENT_INVALID`, naming those that there are. */
function mustTable({ tables }: AppParts, name: string): AnyTable {
  const found = tables.get(name);
  if (found === undefined)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `the app declares no table ${JSON.stringify(name)}; it declares ${tables.size === 0 ? 'none' : [...tables.keys()].slice(0, 20).join(', ')}`,
      { details: { table: name } },
    );
  return found;
}

/** Takes rows, and `undefined` at the end. */
type Printer = (row: Row | undefined) => Promise<void>;

function jsonPrinter(terminal: Terminal): Printer {
  return async (row) => {
    if (row === undefined) return;
    const { key, window, value } = row;
    await terminal.print(
      JSON.stringify({
        key: plain(key),
        ...(window === undefined ? {} : { window }),
        value: plain(value),
      }),
    );
  };
}

function blockPrinter(terminal: Terminal): Printer {
  let block: Row[] = [];
  let blocks = 0;
  return async (row) => {
    if (row !== undefined) block.push(row);
    if (row !== undefined && block.length < BLOCK) return;
    if (block.length === 0) {
      if (blocks === 0) await terminal.print('no rows');
      return;
    }
    const columns: Column<Row>[] = [{ title: 'key', cell: ({ key }) => text(plain(key)) }];
    if (block[0]?.window !== undefined)
      columns.push(
        { title: 'from', cell: ({ window }) => time(window?.start ?? 0) },
        { title: 'to', cell: ({ window }) => time(window?.end ?? 0) },
      );
    const numbers = block.every(({ value }) => typeof value === 'number');
    columns.push({
      title: 'value',
      cell: ({ value }) => JSON.stringify(plain(value)),
      ...(numbers ? { right: true as const } : {}),
    });
    await terminal.print(layOut(block, columns, terminal));
    block = [];
    blocks++;
  };
}
