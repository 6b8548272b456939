/**
 * @module
 */
import { MillraceError } from '../../core/errors.ts';
import { checkFunction } from '../../core/given.ts';
import type { MakeOperator, TablePort } from '../operator.ts';

/**
 * Applies a function to the row of each event's key in a table, and passes on the change. The table does it.
 *
 * - *Order*: kept.
 * - *Back-pressure*: none of its own; tables are synchronous.
 * - *State*: the table's.
 * - *Delivery*: each event changes its row once, in the commit that it belongs to.
 *
 * ```ts
 * import { App, unchecked } from 'millrace';
 * import { TestApp } from 'millrace/testing';
 *
 * const app = new App('shop');
 * const orders = app.topic('orders', { key: unchecked<string>(), value: unchecked<number>() });
 * const spent = app.table('spent', { default: () => 0 });
 * orders.stream().update(spent, (sum, total) => sum + total);
 *
 * await using t = await TestApp.start(app);
 * for (const total of [20, 22]) await t.send(orders, total, { key: 'ann' });
 * t.table(spent).get('ann'); // => 42
 * ```
 *
 * @throws {@link MillraceError} `MR_ARGUMENT_INVALID` for what is no table. Bringing it to life in a process throws `MR_NOT_IN_AN_APP`.
 */
export function update(
  table: unknown,
  fn: (current: unknown, value: unknown) => unknown,
  at: ((value: unknown) => number) | undefined,
): MakeOperator {
  if (!isTablePort(table))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      'update was given something that is not a table; give one of app.table(…)',
    );
  checkFunction(`update of table ${table.name}`, fn);
  return (output, scope) => {
    if (scope.kind === 'process')
      throw new MillraceError(
        'MR_NOT_IN_AN_APP',
        `table ${table.name} belongs to an app, and this stream is not one of a topic; use topic.stream(), or accumulate to keep state in a process`,
        { details: { table: table.name } },
      );
    return table['~update'](fn, at)(output, scope);
  };
}

function isTablePort(table: unknown): table is TablePort {
  return typeof table === 'object' && table !== null && '~update' in table;
}
