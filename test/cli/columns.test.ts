/** Tables: aligned, and never wider than the terminal. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { facts, table } from '../../src/cli/columns.ts';
import type { Column } from '../../src/cli/columns.ts';
import { widthOf } from '../../src/cli/text.ts';

interface Row {
  readonly name: string;
  readonly size: number | undefined;
}

const columns: readonly Column<Row>[] = [
  { title: 'name', cell: ({ name }) => name },
  { title: 'size', cell: ({ size }) => size, right: true },
];
const plain = { columns: undefined, color: false };

test('texts stand on the left, numbers on the right, nothing is a dash', () => {
  const rows = [
    { name: 'a', size: 5 },
    { name: 'longer', size: 12_345 },
    { name: '', size: undefined },
  ];
  expect(table(rows, columns, plain)).toBe(
    ['NAME     SIZE', 'a           5', 'longer  12345', '-           -'].join('\n'),
  );
});

test('wide characters take two columns', () => {
  expect(
    table(
      [
        { name: '世界', size: 1 },
        { name: 'abcd', size: 2 },
      ],
      columns,
      plain,
    ),
  ).toBe(['NAME  SIZE', '世界     1', 'abcd     2'].join('\n'));
});

test('what data contains cannot repaint the screen', () => {
  expect(table([{ name: '\u001b[2J', size: 1 }], columns, plain)).toContain('\\x1b[2J');
});

test('colour is for the titles only', () => {
  const text = table([{ name: 'a', size: 1 }], columns, { columns: 80, color: true });
  expect(text).toBe('\u001b[1mNAME  SIZE\u001b[22m\na        1');
});

test('the widest text gives way; numbers stay whole', () => {
  const rows = [{ name: 'x'.repeat(100), size: 123_456 }];
  expect(table(rows, columns, { columns: 30, color: false })).toBe(
    ['NAME                      SIZE', `${'x'.repeat(21)}…  123456`].join('\n'),
  );
});

test('no line is wider than the terminal', () => {
  const cell = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.nat());
  fc.assert(
    fc.property(
      fc.array(fc.tuple(cell, cell, cell), { maxLength: 5 }),
      fc.integer({ min: 1, max: 60 }),
      (rows, limit) => {
        const made = table(
          rows,
          [0, 1, 2].map((i) => ({
            title: `column ${i}`,
            cell: (row: (typeof rows)[number]) => row[i],
            right: i === 2 ? (true as const) : undefined,
          })),
          { columns: limit, color: false },
        );
        for (const line of made.split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(limit);
      },
    ),
  );
});

test('facts are aligned, and those without a text are left out', () => {
  expect(
    facts([
      ['topic', 'orders'],
      ['owner', undefined],
      ['declared by', 'shop\u001b'],
    ]),
  ).toBe('topic        orders\ndeclared by  shop\\x1b');
});
