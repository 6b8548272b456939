/**
 * Where a command works: on a broker of its own, or on that of an app.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { App } from '../app/app.ts';
import type { AppParts } from '../app/parts.ts';
import type { Broker } from '../broker/broker.ts';
import { openBroker, placeOf } from '../broker/open.ts';
import { MillraceError } from '../core/errors.ts';
import { redactUrl } from '../core/redact.ts';
import { loadApp } from './load.ts';
import type { Terminal } from './terminal.ts';

/** An open broker, and the app that it was found through, if there is one. */
export interface Place {
  readonly broker: Broker;
  readonly parts: AppParts | undefined;
}

/** How a place is named on the command line. */
export interface PlaceOptions {
  readonly broker?: string | undefined;
  readonly module?: string | undefined;
}

/**
 * Runs `body` on the broker of the module's app, or else on that of the URL, and closes it whatever happens.
 *
 * @throws `MR_ARGUMENT_INVALID` where there is nothing: looking must not make a directory. What loading and opening throw.
 */
export async function withPlace<T>(
  terminal: Terminal,
  options: PlaceOptions,
  body: (place: Place) => Promise<T>,
): Promise<T> {
  if (options.module !== undefined)
    return await withApp(options.module, async (_app, parts) => {
      mustExist(parts.brokerUrl);
      return await body({ broker: await parts.broker(), parts });
    });
  const url = options.broker ?? 'file:./data';
  mustExist(url);
  const { clock, random } = terminal;
  const broker = await openBroker(url, { clock, random });
  try {
    return await body({ broker, parts: undefined });
  } finally {
    await broker.close();
  }
}

/** Runs `body` with the app of a module, and closes it whatever happens. */
export async function withApp<T>(
  module: string,
  body: (app: App, parts: AppParts) => Promise<T>,
): Promise<T> {
  const app = await loadApp(module);
  try {
    return await body(app, app['~parts']());
  } finally {
    await app.close();
  }
}

/**
 * @throws `MR_ARGUMENT_INVALID` for a directory without a log, and for memory, which only its own process sees; `MR_URL_INVALID`.
 */
export function mustExist(url: string): void {
  const place = placeOf(url);
  if ('memory' in place)
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `${redactUrl(url)} is the memory of one process, and nothing of it is seen from outside; name a broker that lasts, such as file:./data`,
      { details: { url: redactUrl(url) } },
    );
  if (!existsSync(join(place.directory, 'data.mdb')))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `there is no data in ${place.directory}; give the broker's URL with --broker or MILLRACE_BROKER, or start the app once`,
      { details: { url: redactUrl(url) } },
    );
}
