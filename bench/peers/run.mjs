/**
 * One row of one peer in a process of its own: `node run.mjs <peer> <row> <events> <milliseconds>`. Repeats it for so long, each time with a new pipeline, and
 * prints the nanoseconds per event of the best time, and the checksum.
 *
 * @module
 */
import { takeChecksum } from './work.mjs';

const [peer, row, events, milliseconds] = process.argv.slice(2);
const { [row]: run } = await import(`./${peer}.mjs`);
if (run === undefined) {
  console.log(JSON.stringify({}));
  process.exit(0);
}
const numbers = Array.from({ length: Number(events) }, (_, i) => i);
let best = Infinity;
let checksum = 0;
const until = performance.now() + Number(milliseconds);
do {
  takeChecksum();
  const startedAt = process.hrtime.bigint();
  await run(numbers);
  best = Math.min(best, Number(process.hrtime.bigint() - startedAt));
  checksum = takeChecksum();
} while (performance.now() < until);
console.log(JSON.stringify({ nanoseconds: best / numbers.length, checksum }));
process.exit(0);
