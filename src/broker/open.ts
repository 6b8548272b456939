/**
 * From a URL to an open broker: the one place that knows which drivers there are. They are loaded when a URL asks for them.
 *
 * | URL | what it opens |
 * |---|---|
 * | `file:./dir`, `file:dir`, `file:/abs/dir` | the embedded log in that directory; the path is taken as it is written |
 * | `file:///abs/dir` | the same, as a proper URL: percent signs are decoded |
 * | `memory:name`, `memory:` | the same log in memory; gone when the last broker of that name is closed |
 *
 * @module
 */
import { realpath } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { Clock } from '../core/clock.ts';
import { messageOf, MillraceError } from '../core/errors.ts';
import { validName } from '../core/names.ts';
import type { Random } from '../core/random.ts';
import { redactUrl } from '../core/redact.ts';
import type { Broker } from './broker.ts';
import type { SharedStores } from './shared-stores.ts';

/** What a broker needs from outside. */
export interface OpenBrokerContext {
  readonly clock: Clock;
  readonly random: Random;
  /** Where `memory:` brokers of the same name meet. Left out, each one is alone. */
  readonly memory?: SharedStores | undefined;
}

/**
 * Opens the broker of a URL. A missing directory is created for this user alone (mode 0700).
 *
 * @throws `MR_URL_INVALID` for a URL that names no broker, `MR_PERMISSION`, `MR_VERSION_UNSUPPORTED` for a directory that a
 * newer millrace wrote, `MR_DEPENDENCY_MISSING` when a driver cannot be loaded.
 */
export async function openBroker(url: string, context: OpenBrokerContext): Promise<Broker> {
  const colon = typeof url === 'string' ? url.indexOf(':') : -1;
  const scheme = colon < 0 ? '' : url.slice(0, colon).toLowerCase();
  if (scheme === 'file') return await openFile(url, url.slice(colon + 1), context);
  if (scheme === 'memory') return await openMemory(url, url.slice(colon + 1), context);
  throw invalid(
    url,
    scheme === 'kafka' || scheme === 'mongodb' || scheme === 'mongodb+srv'
      ? `${scheme}:// is not part of this version`
      : 'it names no broker that millrace knows',
  );
}

/**
 * What a URL names, without opening it.
 *
 * @throws `MR_URL_INVALID`.
 */
export function placeOf(url: string): { readonly directory: string } | { readonly memory: string } {
  const [, scheme = '', rest = ''] = /^(file|memory):(.*)$/is.exec(String(url)) ?? [];
  if (scheme.toLowerCase() === 'file') return { directory: directoryOf(url, rest) };
  if (scheme.toLowerCase() !== 'memory') throw invalid(url, 'it names no directory');
  return { memory: memoryName(url, rest) };
}

async function openFile(url: string, rest: string, context: OpenBrokerContext): Promise<Broker> {
  const directory = directoryOf(url, rest);
  const { openLmdb } = await import('../kv/lmdb/lmdb.ts');
  const { openLog, logTables } = await import('./log/index.ts');
  const { socketLinks } = await import('./groups/sockets.ts');
  const { clock, random } = context;
  const kv = await openLmdb({ path: directory, tables: logTables });
  const links = socketLinks({ directory: await realpath(directory), clock, random });
  return await openLog({ kv, url, clock, random, links });
}

async function openMemory(url: string, name: string, context: OpenBrokerContext): Promise<Broker> {
  memoryName(url, name);
  const { simulatedKv } = await import('../kv/simulated/simulated.ts');
  const { openLog, logTables } = await import('./log/index.ts');
  const make = () => simulatedKv({ tables: logTables });
  const kv = context.memory === undefined ? make() : context.memory.open(name, make);
  const { clock, random } = context;
  const links = context.memory?.hub(name)?.open();
  return await openLog({ kv, url, clock, random, links, durable: false });
}

function directoryOf(url: string, rest: string): string {
  if (rest === '' || rest.includes('\0')) throw invalid(url, 'it names no directory');
  if (!rest.startsWith('//')) return rest;
  let parsed: URL;
  try {
    parsed = new URL(url);
    if (parsed.host === '' && parsed.search === '' && parsed.hash === '')
      return fileURLToPath(parsed);
  } catch (error) {
    // No cause: it would hold the URL as it was given.
    throw invalid(url, `it is not a file URL (${messageOf(error)})`);
  }
  throw invalid(
    url,
    parsed.host === ''
      ? 'a file URL takes no query and no fragment'
      : 'a directory of another host cannot be opened; write file:./dir or file:///dir',
  );
}

/** @throws `MR_NAME_INVALID`; `MR_URL_INVALID` for what has the parts of a URL that may be secret. */
function memoryName(url: string, name: string): string {
  if (/^\/\/|[@?#]/.test(name)) throw invalid(url, 'what follows is not a name');
  return name === '' ? name : validName('memory broker', name);
}

function invalid(url: string, why: string): MillraceError {
  return new MillraceError(
    'MR_URL_INVALID',
    `${JSON.stringify(redactUrl(String(url)))} cannot be opened: ${why}; use file:./directory or memory:name`,
    { details: { url: redactUrl(String(url)) } },
  );
}
