/**
 * Reads or verifies damaged directories, one after the other, and prints a line of JSON for each. What is damaged may end the process.
 *
 * Run: `node -C millrace-source bit-flips-child.ts`, with lines of JSON, {@link Job}, on the standard input.
 */
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { run } from '../cli/support.ts';
import { fill, readAll, topicsOf } from './bit-flips-content.ts';
import type { Everything } from './bit-flips-content.ts';

export type Job =
  | { readonly what: 'fill' | 'verify'; readonly directory: string }
  | {
      readonly what: 'read';
      readonly directory: string;
      readonly topics: Readonly<Record<string, number>>;
    };

export interface Done {
  readonly topics?: Readonly<Record<string, number>> | undefined;
  readonly everything?: Everything | undefined;
  /** Of `millrace verify`. */
  readonly status?: number | undefined;
  readonly text?: string | undefined;
}

async function work(job: Job): Promise<Done> {
  if (job.what === 'fill') {
    await fill(job.directory);
    return { topics: await topicsOf(job.directory) };
  }
  if (job.what === 'read') return { everything: await readAll(job.directory, job.topics) };
  const args = ['verify', '--here', '--broker', `file:${job.directory}`];
  const { status, stdout, stderr } = await run(args);
  return { status, text: `${stdout}${stderr}` };
}

for await (const line of createInterface({ input: process.stdin })) {
  const done = await work(JSON.parse(line) as Job);
  writeSync(1, `${JSON.stringify(done)}\n`);
}
