/**
 * What a kafka:// URL says.
 *
 * ```
 * kafka://[user:password@]host[:port][,host[:port]…][?name=value&…]
 * ```
 *
 * | name | value |
 * |---|---|
 * | `tls` | `true` for connections with TLS; without a value it means the same |
 * | `ca` | PEM file with the certificates to trust, instead of those of the platform |
 * | `cert`, `key` | PEM files of a certificate of this client, and of its key |
 * | `mechanism` | `plain`, `scram-sha-256`, `scram-sha-512`, or `oauthbearer`, whose token stands in the place of the password. Default with TLS: `plain`. Without TLS it must be said |
 * | `compression` | `none`, `gzip`, `snappy`, `lz4` or `zstd` for what is sent. Default `lz4` |
 * | `replication` | copies of each partition of new topics, 1 to 32. Default: what the brokers have as default |
 *
 * User and password are percent-encoded. Nothing that is said in an error holds them.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';

import { messageOf, MillraceError } from '../../core/errors.ts';

const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'] as const;
const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
const NAMES = ['tls', 'ca', 'cert', 'key', 'mechanism', 'compression', 'replication'] as const;
const DEFAULT_PORT = 9092;

/** How records are compressed. */
export type Compression = (typeof COMPRESSIONS)[number];

/** How to log in. */
export interface KafkaLogin {
  readonly mechanism: (typeof MECHANISMS)[number];
  readonly user: string;
  readonly password: string;
}

/** A parsed URL. */
export interface KafkaUrl {
  /** The URL without secrets, as the broker calls itself. */
  readonly shown: string;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly login: KafkaLogin | undefined;
  /** Paths of PEM files; nothing for connections without TLS. */
  readonly tls:
    | {
        readonly ca?: string | undefined;
        readonly cert?: string | undefined;
        readonly key?: string | undefined;
      }
    | undefined;
  readonly compression: Compression;
  /** −1: what the brokers have as default. */
  readonly replication: number;
}

/** @throws `MR_URL_INVALID`. */
export function parseKafkaUrl(url: string): KafkaUrl {
  const [, login, places = '', query = ''] =
    /^kafka:\/\/(?:([^@/?#]*)@)?([^@/?#]*)\/?(?:\?([^#]*))?$/i.exec(url) ?? [];
  if (places === '') throw invalid('', 'it names no host');
  const hosts = places.split(',').map((place) => parseHost(place));
  const shown = `kafka://${places}`;
  const options = parseQuery(shown, query);
  const tls = parseTls(shown, options);
  return {
    shown,
    hosts,
    tls,
    login: parseLogin(shown, login, options.get('mechanism'), tls !== undefined),
    compression: oneOf(shown, 'compression', options.get('compression') ?? 'lz4', COMPRESSIONS),
    replication: parseReplication(shown, options.get('replication')),
  };
}

/** Reads the files that a URL names. @throws `MR_PERMISSION` for one that cannot be read. */
export async function readTlsFiles(
  tls: NonNullable<KafkaUrl['tls']>,
): Promise<{ readonly ca?: string; readonly cert?: string; readonly key?: string }> {
  const files: Record<string, string> = {};
  for (const name of ['ca', 'cert', 'key'] as const) {
    const path = tls[name];
    if (path === undefined) continue;
    try {
      files[name] = await readFile(path, 'utf8');
    } catch (error) {
      throw new MillraceError(
        'MR_PERMISSION',
        `the file that ${name}= of the kafka URL names cannot be read (${messageOf(error)}); give the path of a PEM file`,
        { cause: error, details: { path } },
      );
    }
  }
  return files;
}

function parseHost(place: string): { host: string; port: number } {
  const [, six, name, port] = /^(?:\[([0-9a-f:]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(place) ?? [];
  const host = six ?? name;
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (host === undefined || number < 1 || number > 65_535)
    throw invalid('', 'what stands for a host is none');
  return { host, port: number };
}

function parseQuery(shown: string, query: string): Map<string, string> {
  const options = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!(NAMES as readonly string[]).includes(name))
      throw invalid(
        shown,
        `it has an option ${JSON.stringify(name.slice(0, 40))}; there are ${NAMES.join(', ')}`,
      );
    if (options.has(name)) throw invalid(shown, `it says ${name} twice`);
    options.set(name, value);
  }
  return options;
}

function parseTls(shown: string, options: ReadonlyMap<string, string>): KafkaUrl['tls'] {
  const said = options.get('tls');
  const [ca, cert, key] = ['ca', 'cert', 'key'].map((name) => options.get(name));
  if (said !== undefined) oneOf(shown, 'tls', said, ['', 'true', 'false']);
  if (said === undefined || said === 'false') {
    if ((ca ?? cert ?? key) !== undefined)
      throw invalid(shown, 'it names certificates, but has no tls=true');
    return undefined;
  }
  if ((cert === undefined) !== (key === undefined))
    throw invalid(shown, 'cert and key belong together, and one is missing');
  return { ca, cert, key };
}

function parseLogin(
  shown: string,
  login: string | undefined,
  mechanism: string | undefined,
  tls: boolean,
): KafkaLogin | undefined {
  if (login === undefined) {
    if (mechanism !== undefined) throw invalid(shown, 'it says a mechanism, but no user');
    return undefined;
  }
  if (mechanism === undefined && !tls)
    throw invalid(
      shown,
      'it has a password and no TLS; say tls=true, or mechanism= with what the brokers want, knowing that plain sends the password as it is',
    );
  const [user, ...rest] = login.split(':');
  try {
    return {
      mechanism: oneOf(shown, 'mechanism', mechanism ?? 'plain', MECHANISMS),
      user: decodeURIComponent(user ?? ''),
      password: decodeURIComponent(rest.join(':')),
    };
  } catch (error) {
    if (MillraceError.is(error)) throw error;
    throw invalid(shown, 'user or password are not percent-encoded as they should be');
  }
}

function parseReplication(shown: string, text: string | undefined): number {
  if (text === undefined) return -1;
  const copies = Number(text);
  if (/^\d+$/.test(text) && copies >= 1 && copies <= 32) return copies;
  throw invalid(shown, `replication is ${JSON.stringify(text)}; give a number from 1 to 32`);
}

function oneOf<T extends string>(
  shown: string,
  name: string,
  value: string,
  allowed: readonly T[],
): T {
  const found = allowed.find((one) => one === value.toLowerCase());
  if (found !== undefined) return found;
  throw invalid(
    shown,
    `${name} is ${JSON.stringify(value.slice(0, 40))}; use ${allowed.filter((one) => one !== '').join(', ')}`,
  );
}

/** No cause and no part of the URL but its hosts: the rest may be a password. */
function invalid(shown: string, why: string): MillraceError {
  return new MillraceError(
    'MR_URL_INVALID',
    `${shown === '' ? 'the kafka URL' : JSON.stringify(shown)} cannot be opened: ${why}`,
    { details: { url: shown === '' ? 'kafka://' : shown } },
  );
}
