/**
 * The app of the tests in which members of a group die, freeze, come and go: a table and an agent by the key that the orders have, and behind
 * a `groupBy` another table and windows, whose rows are sent on when they are closed.
 */
import { App, unchecked } from 'millrace';
import type { AppOptions, Table, Topic, WindowedTable } from 'millrace';

import type { Order } from './orders.ts';

export interface Total {
  readonly orders: number;
  readonly cents: number;
}

/** Orders of a shop in a minute that is over. */
export interface ShopMinute extends Total {
  readonly shop: string;
  readonly minute: number;
}

export interface Large {
  readonly n: number;
  readonly user: string;
  readonly cents: number;
}

export interface OrdersApp {
  readonly app: App;
  readonly orders: Topic<string, Order>;
  readonly users: Table<string, Total, Total>;
  readonly shops: Table<string, Total, Total>;
  readonly minutes: WindowedTable<string, Total, Total>;
  readonly shopMinutes: Topic<string | null, ShopMinute>;
  readonly large: Topic<string | null, Large>;
  readonly larges: Table<string, number, number>;
}

/** Orders above this are large. */
export const LARGE_CENTS = 9_000;
export const MINUTE_MS = 60_000;
export const GRACE_MS = 20_000;

export const PARTITIONS = 6;

const none = (): Total => ({ orders: 0, cents: 0 });
const plus = (total: Total, { cents }: Order): Total => ({
  orders: total.orders + 1,
  cents: total.cents + cents,
});

/** `onOrder` is called by the agent for every order, once or more. */
export function ordersApp(
  directory: string,
  options: AppOptions = {},
  onOrder: (order: Order) => void = () => undefined,
): OrdersApp {
  const app = new App('orders', {
    broker: `file:${directory}`,
    // Many small commits, so that what happens falls between and into them.
    commit: { every: 1_000, interval: 20 },
    // A task that has come to its end while its neighbours have not is no proof that nothing more comes.
    idleAfter: '1h',
    ...options,
  });
  const orders = app.topic('orders', {
    key: unchecked<string>(),
    value: unchecked<Order>(),
    partitions: PARTITIONS,
    timestamp: (order) => order.at,
    validate: 'off',
  });
  const shopMinutes = app.topic('shop-minutes', { value: unchecked<ShopMinute>() });
  const large = app.topic('large', { value: unchecked<Large>() });

  const users = app.table('users', { default: none });
  const shops = app.table('shops', { default: none });
  const minutes = app
    .table('minutes', { default: none })
    .tumbling(MINUTE_MS, { grace: GRACE_MS, retention: '1h' });
  const larges = app.table('larges', { default: () => 0 });

  orders.stream().update(users, plus);
  const byShop = orders.stream().groupBy('shop');
  byShop.update(shops, plus);
  byShop.update(minutes, plus);
  minutes
    .closed()
    .map(({ key, window, value: { orders: count, cents } }) => ({
      shop: key,
      minute: window.start,
      orders: count,
      cents,
    }))
    .sink(shopMinutes);

  app.each(
    'large',
    orders,
    (order) => {
      onOrder(order);
      if (order.cents <= LARGE_CENTS) return undefined;
      larges.update(order.user, (n) => n + 1);
      return { n: order.n, user: order.user, cents: order.cents };
    },
    { sinks: [large] },
  );
  return { app, orders, users, shops, minutes, shopMinutes, large, larges };
}
