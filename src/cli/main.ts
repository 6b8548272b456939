#!/usr/bin/env node
/**
 * The command line: runs an app that lives in a module.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { App, MillraceError } from '../index.ts';

const usage = `usage: millrace <command> <module>

  worker <module>     runs the app that the module exports, until SIGTERM or SIGINT
  topology <module>   prints what would run

The module exports one App, by any name. TypeScript modules run as they are on Node 22.18 and newer.`;

const [command, file, ...rest] = process.argv.slice(2);
if (command === '--help' || command === '-h') {
  console.log(usage);
} else if (
  command === undefined ||
  file === undefined ||
  rest.length > 0 ||
  !['worker', 'topology'].includes(command)
) {
  console.error(usage);
  process.exitCode = 2;
} else {
  try {
    await (await findApp(file)).main([command]);
  } catch (error) {
    console.error(
      `millrace: ${MillraceError.is(error) ? `${error.code}: ${error.message}` : String(error)}`,
    );
    process.exitCode = 1;
  }
}

/** The one app that a module exports. */
async function findApp(path: string): Promise<App> {
  const absolute = resolve(path);
  if (!existsSync(absolute))
    throw new MillraceError('MR_ARGUMENT_INVALID', `there is no file ${path}`);
  const module = (await import(pathToFileURL(absolute).href)) as Record<string, unknown>;
  const apps = new Set(Object.values(module).filter((value) => value instanceof App));
  const [app] = apps;
  if (app === undefined || apps.size > 1)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${path} exports ${apps.size === 0 ? 'no app' : `${apps.size} apps`}; export one: export const app = new App('…')`,
    );
  return app;
}
