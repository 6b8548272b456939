/**
 * The app of the policies as a process: works until all is done, says `commit <events>` for each commit and ends with `done`, or with
 * `failed <code> <text>` and status 1.
 *
 * Run: `node -C millrace-source policy-child.ts <directory> <policy> <cured|troubled>`.
 */
import { writeSync } from 'node:fs';
import { subscribe } from 'node:diagnostics_channel';

import type { CommitMessage } from 'millrace';

import { policyApp } from './policy-app.ts';
import type { PolicyName } from './policy-app.ts';

const [directory = '', policy = 'fail', how] = process.argv.slice(2);
const say = (line: string): number => writeSync(1, `${line.replaceAll('\n', ' ')}\n`);
const { app } = policyApp(directory, policy as PolicyName, how === 'cured');
subscribe('millrace:commit', (message) => say(`commit ${(message as CommitMessage).events}`));
try {
  const running = await app.start();
  await running.settled();
  await running.stop();
  await app.close();
  say('done');
} catch (error) {
  say(`failed ${(error as { readonly code?: string }).code} ${(error as Error).message}`);
  process.exit(1);
}
