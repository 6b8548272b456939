/**
 * From the path of a module to the app that it exports.
 *
 * @module
 */
import { existsSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import type { App } from '../app/app.ts';
import { messageOf, MillraceError } from '../core/errors.ts';

/**
 * Imports the module and returns the one app that it exports, by whatever name and however often.
 *
 * @throws `MR_ARGUMENT_INVALID` for a module that is not there, or exports no app or several; `MR_MODULE_FAILED` when it cannot be loaded,
 * with what it threw as the cause; what millrace itself threw in it.
 */
export async function loadApp(path: string): Promise<App> {
  const absolute = resolve(path);
  if (!existsSync(absolute))
    throw new MillraceError('MR_ARGUMENT_INVALID', `there is no file ${path}`, {
      details: { path },
    });
  if (statSync(absolute).isDirectory())
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${path} is a directory; name the module that exports the app, such as ${path.endsWith('/') ? path : `${path}/`}app.ts`,
      { details: { path } },
    );
  const exported = await importModule(path, absolute);
  const apps = new Map(Object.entries(exported).flatMap(([name, value]) => appOf(name, value)));
  const [app] = apps.keys();
  if (app === undefined)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${path} exports no app; export one: export const app = new App('…')`,
      { details: { path, exports: Object.keys(exported).slice(0, 20) } },
    );
  if (apps.size > 1)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${path} exports ${apps.size} apps; export one of them (${[...apps.values()].join(', ')}), and give each of the others a module of its own`,
      { details: { path, exports: [...apps.values()] } },
    );
  return app;
}

async function importModule(path: string, absolute: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(absolute).href)) as Record<string, unknown>;
  } catch (error) {
    if (MillraceError.is(error)) throw error;
    throw new MillraceError(
      'MR_MODULE_FAILED',
      `${basename(path)} cannot be loaded: ${messageOf(error).split('\n', 1)[0] ?? ''}`,
      { cause: error, details: { path } },
    );
  }
}

/** An app by what it can do, not by its class: the module may have found another copy of the package. */
function appOf(name: string, value: unknown): [App, string][] {
  return typeof value === 'object' &&
    value !== null &&
    '~parts' in value &&
    typeof value['~parts'] === 'function'
    ? [[value as App, name]]
    : [];
}
