/**
 * What TypeScript infers from the operators that apps need, and what it refuses. No lambda is annotated.
 *
 * @module
 */
import { App, Stream, unchecked } from 'millrace';
import type { EventView } from 'millrace';
import { describe, expectTypeOf, test } from 'vitest';
import { z } from 'zod';

const app: App = new App('types', { broker: 'memory:' });
const Order = z.object({ accountId: z.string(), amount: z.number(), price: z.number() });
type Order = z.infer<typeof Order>;
const orders = app.topic('orders', { value: Order });
const destination = app.topic('destination', { key: z.string(), value: Order });
const dated = app.topic('dated', {
  key: unchecked<number>(),
  value: z.object({ accountId: z.string(), amount: z.number().transform(String) }),
});
const narrow = app.topic('narrow', { value: z.object({ accountId: z.enum(['a', 'b']) }) });
const keyed = destination.stream();
const numbers = new Stream<number>();

describe('what is inferred', () => {
  test('through: what readers of the topic get, under its keys', () => {
    expectTypeOf(orders.stream().through(destination)).toEqualTypeOf<Stream<Order, string>>();
    expectTypeOf(orders.stream().through(dated)).toEqualTypeOf<
      Stream<{ accountId: string; amount: string }, number>
    >();
    app.agent('through', orders.stream().through(destination), async (stream) => {
      for await (const order of stream) order.price.toFixed();
    });
  });

  test('echo, processors and buffer leave a stream as it is', () => {
    expectTypeOf(keyed.echo(destination, orders)).toEqualTypeOf<Stream<Order, string>>();
    const withDefaults = keyed.processors(
      (order) => ({ ...order, amount: order.amount + 1 }),
      async (order) => ({ ...order, more: order.price }),
    );
    expectTypeOf(withDefaults).toEqualTypeOf<Stream<Order, string>>();
    expectTypeOf(numbers.buffer(8)).toEqualTypeOf<Stream<number>>();
  });

  test('take: arrays, under the key', () => {
    expectTypeOf(keyed.take(10)).toEqualTypeOf<Stream<Order[], string>>();
    expectTypeOf(numbers.take(3, { within: '5s' })).toEqualTypeOf<Stream<number[]>>();
  });

  test('events: values with key, time and place', () => {
    expectTypeOf(keyed.events()).toEqualTypeOf<Stream<EventView<Order, string>, string>>();
    expectTypeOf(numbers.events()).toEqualTypeOf<Stream<EventView<number>>>();
    keyed.events().map((event) => {
      expectTypeOf(event.key).toBeString();
      expectTypeOf(event.offset).toEqualTypeOf<bigint>();
      return event.value.amount;
    });
  });

  test('a template like any other', () => {
    const totals = app.table('totals', { default: () => 0 });
    orders
      .stream()
      .through(destination)
      .update(totals, (sum, order) => sum + order.amount);
  });
});

test('what is refused', () => {
  // @ts-expect-error M19: a topic of other values
  orders.stream().pluck(['amount']).through(destination);
  // @ts-expect-error M19: strings must not get into a topic of two of them
  orders.stream().echo(narrow);
  // @ts-expect-error a function is no topic; tap calls functions
  orders.stream().echo((order: Order) => order.amount);
  // @ts-expect-error neither is a name
  orders.stream().through('destination');
  const totals = app.table('totals-by-number', { key: z.number(), default: () => 0 });
  const through = orders.stream().through(destination);
  // @ts-expect-error M05: behind through the key is that of the topic
  through.update(totals, (n) => n + 1);
  // @ts-expect-error a processor gives values of the same type
  numbers.processors((n) => `${n}`);
  // @ts-expect-error M21: durations are '10m'
  numbers.take(3, { within: '10 min' });
  // @ts-expect-error groups need a size
  numbers.take();
  // @ts-expect-error and a buffer a capacity
  numbers.buffer();
  // @ts-expect-error events are acknowledged by hand in agents only
  keyed.events({ ack: 'manual' });
  // @ts-expect-error and nowhere else
  keyed.noack();
  // @ts-expect-error M17: what cuts the topology belongs in the agent's source
  app.agent('inside', orders, async (stream) => void stream.through(destination));
});
