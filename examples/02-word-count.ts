/**
 * Words of lines, counted in a table. `groupBy` sends equal words to the same task, and the table is kept exactly once.
 *
 * Run: `node 02-word-count.ts`
 */
import { App, unchecked } from 'millrace';

const app = new App('word-count', { broker: 'memory:' });

const lines = app.topic('lines', { value: unchecked<string>() });
const counts = app.table('counts', { default: () => 0 });

lines
  .stream()
  .map((line) => line.toLowerCase().match(/[a-z']+/gu) ?? [])
  .flatten()
  .groupBy((word) => word, { name: 'word' })
  .update(counts, (count) => count + 1);

const running = await app.start();
await Promise.all([
  lines.send('The mill turns as long as the water runs,'),
  lines.send('and the water runs as long as the race is clear:'),
  lines.send('no race, no mill.'),
]);
// Everything that was sent is processed and committed now.
await running.settled();

const rows = await Array.fromAsync(counts.snapshot());
rows.sort(([a, n], [b, m]) => m - n || a.localeCompare(b));
for (const [word, count] of rows.slice(0, 7)) console.log(`${word.padEnd(8)}${count}`);

await running.stop();
await app.close();
