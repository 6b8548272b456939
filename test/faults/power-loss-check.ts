/**
 * Checks directories after a loss of power, one after the other, and prints a line of JSON for each: what it holds, or what is wrong. A process
 * of its own, since a damaged file may end it.
 *
 * Run: `power-loss-check.ts`, with lines of JSON, `{ directory, told }`, on the standard input.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { checkContent } from './power-loss-content.ts';
import type { Told } from './power-loss-content.ts';

for await (const line of createInterface({ input: process.stdin })) {
  const { directory, told } = JSON.parse(line) as { directory: string; told: Told };
  const result = await checkContent(directory, told).then(
    (found) => ({ found }),
    (error: unknown) => ({ wrong: (error as Error).message }),
  );
  writeSync(1, `${JSON.stringify(result)}\n`);
}
