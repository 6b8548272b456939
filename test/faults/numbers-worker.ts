/**
 * The module that `millrace worker` runs in these tests: `NUMBERS_DIRECTORY`, `NUMBERS_TROUBLE`, `NUMBERS_INTERVAL`, `NUMBERS_LEASE` and
 * `NUMBERS_STUCK_AFTER` say how.
 */
import { writeSync } from 'node:fs';

import type { App, Duration } from 'millrace';

import { numbersApp } from './numbers-app.ts';
import type { Trouble } from './numbers-app.ts';

const { env } = process;

export const app: App = numbersApp(
  env['NUMBERS_DIRECTORY'] ?? '',
  (env['NUMBERS_TROUBLE'] ?? 'none') as Trouble,
  {
    commit: { interval: (env['NUMBERS_INTERVAL'] ?? '20ms') as Duration },
    lease: env['NUMBERS_LEASE'] as Duration | undefined,
    stuckAfter: env['NUMBERS_STUCK_AFTER'] as Duration | undefined,
  },
  (line) => writeSync(1, `${line}\n`),
).app;
