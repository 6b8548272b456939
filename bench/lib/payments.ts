/**
 * Input and app of the cases that are not about flights: payments, summed up by account.
 *
 * @module
 */
import { App, unchecked } from 'millrace';
import type { AppOptions, Schema, Table, Topic } from 'millrace';

import type { Figures } from './figures.ts';

export interface Payment {
  readonly account: string;
  /** Negative: refused by the app. */
  readonly cents: number;
  readonly at: number;
  readonly shop: string;
}

export interface Total {
  readonly payments: number;
  readonly cents: number;
}

export interface PaymentsApp {
  readonly app: App;
  readonly payments: Topic<string, Payment>;
  readonly totals: Table<string, Total, Total>;
}

/** What an input consists of. */
export interface PaymentsInput {
  readonly events: number;
  /** How many there are; they take turns, far from one another. */
  readonly accounts: number;
  /** Every so many payments one is negative. Default: none is. */
  readonly badEvery?: number | undefined;
}

/** Prime, so that all accounts have their turn. */
const STRIDE = 7_368_787;
const FIRST_AT = Date.UTC(2026, 0, 1);

export function paymentAt(
  n: number,
  { accounts, badEvery = Infinity }: Omit<PaymentsInput, 'events'>,
): Payment {
  const account = `a${String((n * STRIDE) % accounts).padStart(7, '0')}`;
  const cents = 1 + (n % 9_999);
  const bad = n % badEvery === badEvery - 1;
  return { account, cents: bad ? -cents : cents, at: FIRST_AT + n, shop: `s${n % 100}` };
}

/** The topic of payments in `app`. With a schema its values are checked when they are read. */
export function paymentsTopic(
  app: App,
  partitions = 8,
  schema?: Schema<Payment>,
): Topic<string, Payment> {
  return app.topic('payments', {
    key: unchecked<string>(),
    value: schema ?? unchecked<Payment>(),
    partitions,
    timestamp: ({ at }) => at,
    validate: schema === undefined ? 'off' : 'out',
  });
}

function add(total: Total, { cents }: Payment): Total {
  if (cents < 0) throw new Error(`a payment of ${cents} cents`);
  return { payments: total.payments + 1, cents: total.cents + cents };
}

function tryToAdd(total: Total, payment: Payment): Total {
  try {
    return add(total, payment);
  } catch {
    return total;
  }
}

/** What else the app does about payments that it refuses. */
export interface PaymentsCare {
  /** With it values are checked when they are read. */
  readonly schema?: Schema<Payment> | undefined;
  /** The handler catches its error itself. */
  readonly catches?: boolean | undefined;
}

export function paymentsApp(options: AppOptions, care: PaymentsCare = {}): PaymentsApp {
  const app = new App('payments', options);
  const payments = paymentsTopic(app, undefined, care.schema);
  const totals = app.table('totals', { default: (): Total => ({ payments: 0, cents: 0 }) });
  payments.stream().update(totals, care.catches === true ? tryToAdd : add);
  return { app, payments, totals };
}

/** Fills a directory. */
export async function fillPayments(
  directory: string,
  input: PaymentsInput,
  partitions = 8,
): Promise<Figures> {
  const app = new App('payments', { broker: `file:${directory}` });
  const payments = paymentsTopic(app, partitions);
  const producer = await payments.producer({ id: 'bench' });
  for (let n = 0; n < input.events; n++) {
    const payment = paymentAt(n, input);
    const wait = producer.send(payment, { key: payment.account });
    if (wait !== undefined) await wait;
  }
  await producer.close();
  await app.close();
  return {};
}
