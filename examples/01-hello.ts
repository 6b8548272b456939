/**
 * A pipeline in one process: values go in with `emit`, through operators, and out at a sink.
 *
 * Run: `node 01-hello.ts`
 */
import { Stream } from 'millrace';

const names = new Stream<string>();
const present = names.filter((name) => name !== '');

present.map((name) => `hello ${name}`).sink(console.log);

// The same values to another end, with a state that is carried from one to the next.
present
  .accumulate((longest, name) => (name.length > longest.length ? name : longest))
  .map((name) => `  longest so far: ${name}`)
  .sink(console.log);

for (const name of ['ada', '', 'grace', 'lin']) await names.emit(name);

// A function may be asynchronous: `emit` then waits for it, and order is kept.
const numbers = new Stream<number>();
numbers.map(async (n) => n * n).sink((square) => console.log('square', square));
await numbers.emitAll([1, 2, 3]);
