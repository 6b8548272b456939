/**
 * Tables for people: aligned columns, at most as wide as the terminal.
 *
 * @module
 */
import { styleText } from 'node:util';

import { cut, printable, widthOf } from './text.ts';

/** A column of a table. */
export interface Column<T> {
  readonly title: string;
  /** What stands in the column; `undefined` is shown as `-`. */
  readonly cell: (row: T) => string | number | undefined;
  /** Numbers stand on the right, and are never cut as long as the other columns can be. */
  readonly right?: true | undefined;
}

/** How a table may look. */
export interface Look {
  /** `undefined`: as wide as it takes. */
  readonly columns: number | undefined;
  readonly color: boolean;
}

const GAP = 2;
/** What a column is cut down to at most, before the ends of lines are. */
const LEAST = 6;

/** The lines of a table, the titles first, without a line end behind the last. Texts of data are made {@link printable}. */
export function table<T>(rows: readonly T[], columns: readonly Column<T>[], look: Look): string {
  const cells = rows.map((row) => columns.map(({ cell }) => show(cell(row))));
  const widths = columns.map(({ title }, i) =>
    cells.reduce(
      (most, line) => Math.max(most, widthOf(line[i] as string, look.columns)),
      title.length,
    ),
  );
  if (look.columns !== undefined) shrink(widths, columns, look.columns);
  const line = (texts: readonly string[]): string => {
    const padded = texts.map((text, i) => {
      const width = widths[i] as number;
      const short = cut(text, width);
      const blanks = ' '.repeat(width - widthOf(short));
      return columns[i]?.right === true ? blanks + short : short + blanks;
    });
    const whole = padded.join(' '.repeat(GAP)).trimEnd();
    return look.columns === undefined ? whole : cut(whole, look.columns);
  };
  const titles = line(columns.map(({ title }) => title.toUpperCase()));
  const head = look.color ? styleText('bold', titles, { validateStream: false }) : titles;
  return [head, ...cells.map(line)].join('\n');
}

/** Pairs of a name and a text, one a line, aligned. Pairs without a text are left out. */
export function facts(
  pairs: readonly (readonly [name: string, text: string | undefined])[],
): string {
  const said = pairs.filter(([, text]) => text !== undefined);
  const width = said.reduce((most, [name]) => Math.max(most, name.length), 0);
  return said
    .map(([name, text]) => `${name.padEnd(width)}${' '.repeat(GAP)}${printable(text ?? '')}`)
    .join('\n');
}

function show(cell: string | number | undefined): string {
  return cell === undefined || cell === '' ? '-' : printable(String(cell));
}

/** Takes columns from the widest of the left-aligned, one by one, until the line fits. */
function shrink(widths: number[], columns: readonly Column<never>[], limit: number): void {
  let excess = widths.reduce((sum, width) => sum + width, GAP * (widths.length - 1)) - limit;
  while (excess > 0) {
    let widest = -1;
    for (const [i, width] of widths.entries())
      if (columns[i]?.right !== true && width > LEAST && width > (widths[widest] ?? 0)) widest = i;
    if (widest < 0) return;
    widths[widest] = (widths[widest] as number) - 1;
    excess--;
  }
}
