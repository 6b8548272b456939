/** kill -9 while loading and committing: nothing acknowledged is lost, nothing is there twice. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

import { openBroker } from '../../src/broker/open.ts';
import { seededRandom } from '../../src/core/random.ts';
import { realContext, textsOf, withDirectory } from '../broker/log-over.ts';

const ROUNDS = 15;
const child = fileURLToPath(new URL('./broker-crash-child.ts', import.meta.url));

/** Runs a child and kills it after `lines` acknowledgements; returns the last ones of each kind. */
async function runAndKill(directory: string, lines: number): Promise<{ in: number; out: number }> {
  const running = spawn(process.execPath, [child, directory], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const acknowledged = { in: 0, out: 0 };
  let errors = '';
  running.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const exited = once(running, 'exit');
  let left = lines;
  for await (const line of createInterface(running.stdout)) {
    const [kind, number] = line.split(' ') as ['in' | 'out', string];
    acknowledged[kind] = Number(number);
    // What the pipe still holds counts too: it was said before the end.
    if (--left === 0) running.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  expect(errors).toBe('');
  expect(signal).toBe('SIGKILL');
  return acknowledged;
}

test(`${ROUNDS} kills at random moments`, async () => {
  const random = seededRandom(3);
  await withDirectory(async (directory) => {
    for (let round = 1; round <= ROUNDS; round++) {
      const acknowledged = await runAndKill(directory, 1 + random.below(120));
      const broker = await openBroker(`file:${directory}`, realContext());
      try {
        const input = await textsOf(broker, 'in');
        const frames = input.length / 3;
        expect(frames).toBeGreaterThanOrEqual(acknowledged.in);
        expect(input).toEqual(
          Array.from({ length: frames }, (_, i) =>
            [0, 1, 2].map((record) => `${i + 1}.${record}`),
          ).flat(),
        );
        const output = await textsOf(broker, 'out');
        expect(output.length).toBeGreaterThanOrEqual(acknowledged.out);
        expect(output).toEqual(input.slice(0, output.length));
        const task = (await broker.describeGroup('copier'))?.tasks[0];
        expect(task?.epoch).toBe(round);
        expect(task?.positions[0]?.offset ?? 0).toBe(output.length);
        expect(Buffer.from(task?.meta ?? Buffer.from('0')).toString()).toBe(String(output.length));
      } finally {
        await broker.close();
      }
    }
  });
});
