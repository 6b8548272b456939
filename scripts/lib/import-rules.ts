/**
 * The rules of who may import whom inside `src/`, and that nothing but `core` asks the platform for time or chance.
 *
 * 1. A folder imports only the folders that {@link layers} lists for it.
 * 2. `internal/` is reached only from the folder that holds it.
 * 3. A driver (a folder inside one of {@link driverHomes}) imports no other driver, not even one of another contract:
 *    `broker/log` is written on `kv`, never on `kv/lmdb`. {@link sharedFolders} hold no driver.
 * 4. Outside its own folder a driver is named only by {@link driverUsers}.
 * 5. A third-party package is imported only where {@link packages} allows it, and is a dependency in package.json; an
 *    optional one only with `import()`.
 * 6. The clock, timers and random numbers of the platform are used only in {@link platformFiles}.
 * 7. An `index.ts` holds re-exports and nothing else.
 *
 * All rules look at resolved paths, with comments taken away; a type import counts like any other.
 *
 * @module
 */
import { globSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { mask } from './mask.ts';

/** Folder of `src/` → the folders it may import; itself always. `index` is the root entry, `src/index.ts`. */
const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  stream: ['core'],
  codec: ['core'],
  connectors: ['core', 'stream', 'codec'],
  kv: ['core'],
  broker: ['core', 'codec', 'kv'],
  window: ['core'],
  state: ['core', 'codec', 'kv', 'broker'],
  topology: ['core', 'stream', 'codec', 'window'],
  table: ['core', 'stream', 'codec', 'window', 'state', 'topology'],
  runtime: ['core', 'stream', 'codec', 'kv', 'broker', 'window', 'state', 'topology', 'table'],
  app: ['core', 'stream', 'codec', 'broker', 'window', 'topology', 'table', 'runtime'],
  testing: ['core', 'codec', 'kv', 'broker', 'state', 'topology', 'table', 'runtime', 'app'],
  index: ['core', 'stream', 'codec', 'connectors', 'broker', 'window', 'table', 'runtime', 'app'],
  log: ['core'],
  cli: ['core', 'codec', 'broker', 'state', 'topology', 'runtime', 'app', 'log'],
};

/** Folders whose subfolders each hold one implementation of a contract. */
const driverHomes = ['kv', 'broker', 'connectors'];
/** Subfolders of those that hold none, but what several implementations share. */
const sharedFolders = ['broker/groups'];

interface DriverUse {
  readonly drivers: readonly string[];
  /** Static imports allowed. Otherwise `import()` alone, so that what nobody uses is never loaded. */
  readonly eager: boolean;
}

/** File, or folder ending in a slash → the drivers it may name. */
const driverUsers: Readonly<Record<string, DriverUse>> = {
  // the one place that turns a URL scheme into a driver, and puts a kv under the log
  'broker/open.ts': {
    drivers: ['broker/memory', 'broker/log', 'kv/lmdb', 'kv/simulated'],
    eager: false,
  },
  // the same, for what is done to a directory as a whole
  'broker/verify.ts': { drivers: ['broker/log', 'kv/lmdb', 'kv/simulated'], eager: false },
  'broker/backup.ts': { drivers: ['broker/log', 'kv/lmdb'], eager: false },
  // the twins that simulate are what it offers
  'testing/': { drivers: ['broker/memory', 'broker/log', 'kv/simulated'], eager: true },
};

interface PackageRule {
  readonly home: string;
  readonly typesOnly?: true;
  /** An optional peer dependency: types and `import()` alone, so that nobody who does not use it needs it. */
  readonly optional?: true;
}

/** Third-party package → the only folder that may import it. */
const packages: Readonly<Record<string, PackageRule>> = {
  lmdb: { home: 'kv/lmdb/' },
  msgpackr: { home: 'codec/' },
  '@standard-schema/spec': { home: 'codec/', typesOnly: true },
  commander: { home: 'cli/' },
  pino: { home: 'log/' },
  'pino-pretty': { home: 'log/' },
  '@platformatic/kafka': { home: 'broker/kafka/', optional: true },
  ws: { home: 'connectors/websocket/', optional: true },
  mqtt: { home: 'connectors/mqtt/', optional: true },
  'eventsource-parser': { home: 'connectors/http/', optional: true },
  '@viz-js/viz': { home: 'stream/picture/', optional: true },
};

const platformFiles = ['core/clock.ts', 'core/random.ts'];
const platform =
  /\b(?:Date\.now|(?:Math|crypto)\.random\w*|performance\.\w+|process\.hrtime|(?:set|clear)(?:Timeout|Interval|Immediate)|(?<=new )Date\(\)|randomUUID|randomBytes|randomInt|getRandomValues)(?!\w)/g;
const platformModules = ['node:timers', 'node:timers/promises', 'node:perf_hooks'];

const importPattern =
  /\b(?<keyword>import|export)\s+(?<types>type\s+)?(?:[\w*{][^'";()]*?\bfrom\s*)?['"](?<from>[^'"\n]+)['"]|\b(?<dynamic>import)\(\s*['"`](?<lazy>[^'"`\n]+)['"`]/g;
const reExport =
  /\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\s*['"][^'"\n]+['"]\s*;?/g;

/** What {@link checkImports} found. */
export interface ImportReport {
  readonly files: number;
  /** `src/file.ts:line: what is wrong`, one for each broken rule. */
  readonly problems: readonly string[];
}

interface Tree {
  readonly root: string;
  readonly dependencies: ReadonlySet<string>;
  readonly problems: string[];
}

/** Checks the tree under `root/src` against `root/package.json`. */
export function checkImports(root: string): ImportReport {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    dependencies?: Record<string, string>;
    peerDependencies?: Record<string, string>;
  };
  const tree: Tree = {
    root,
    dependencies: new Set(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })),
    problems: [],
  };
  const files = globSync('**/*.ts', { cwd: join(root, 'src') })
    .map((file) => file.replaceAll('\\', '/'))
    .toSorted();
  for (const file of files) checkFile(tree, file);
  return { files: files.length, problems: tree.problems };
}

function checkFile(tree: Tree, file: string): void {
  const text = readFileSync(join(tree.root, 'src', file), 'utf8');
  const fail = (at: number, message: string): void => {
    tree.problems.push(`src/${file}:${text.slice(0, at).split('\n').length}: ${message}`);
  };
  if (layers[layerOf(file)] === undefined)
    fail(0, `folder "${layerOf(file)}" is not in the table of layers`);

  const code = mask(text, 'comments');
  for (const match of code.matchAll(importPattern)) {
    const { from, lazy, types } = match.groups!;
    checkImport(tree, file, (from ?? lazy)!, {
      lazy: lazy !== undefined,
      types: types !== undefined,
      fail: (message) => fail(match.index, message),
    });
  }

  if (!platformFiles.includes(file)) {
    for (const match of mask(text, 'comments and strings').matchAll(platform))
      fail(match.index, `${match[0]} is used outside ${platformFiles.join(' and ')}`);
  }

  if (posix.basename(file) === 'index.ts') {
    const rest = code.replaceAll(reExport, (found) => ' '.repeat(found.length));
    const at = rest.search(/\S/);
    if (at >= 0) fail(at, 'an index.ts holds only `export … from` statements');
  }
}

interface Import {
  readonly lazy: boolean;
  readonly types: boolean;
  readonly fail: (message: string) => void;
}

function checkImport(tree: Tree, file: string, specifier: string, written: Import): void {
  const { lazy, types, fail } = written;
  if (specifier.startsWith('node:')) {
    if (platformModules.includes(specifier) && !platformFiles.includes(file))
      fail(`${specifier} is used outside ${platformFiles.join(' and ')}`);
    return;
  }
  if (!specifier.startsWith('.')) {
    checkPackage(tree, file, specifier, written);
    return;
  }
  const target = posix.normalize(posix.join(posix.dirname(file), specifier));
  const [from, to] = [layerOf(file), layerOf(target)];
  if (to !== from && layers[from]?.includes(to) === false)
    fail(`${from} may not import ${to} (${target})`);

  const holder = target.split('/internal/')[0]!;
  if (holder !== target && !file.startsWith(`${holder}/`))
    fail(`${target} is internal to src/${holder}`);

  const [own, driver] = [driverOf(file), driverOf(target)];
  if (driver === undefined || driver === own) return;
  if (own !== undefined) {
    fail(`driver ${own} may not import driver ${driver}`);
    return;
  }
  const use = Object.entries(driverUsers).find(
    ([user]) => user === file || (user.endsWith('/') && file.startsWith(user)),
  )?.[1];
  if (use?.drivers.includes(driver) !== true)
    fail(`driver ${driver} may not be named here; go through its contract`);
  else if (!use.eager && !lazy && !types)
    fail(`driver ${driver} must be loaded with import() here`);
}

function checkPackage(
  tree: Tree,
  file: string,
  specifier: string,
  { lazy, types, fail }: Import,
): void {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const rule = packages[name];
  if (rule === undefined || !file.startsWith(rule.home)) {
    const where = rule === undefined ? 'nowhere in src' : `only in src/${rule.home}`;
    fail(`package ${name} may be imported ${where}`);
  } else if (rule.typesOnly === true && !types)
    fail(`package ${name} is for types: write \`import type\``);
  else if (rule.optional === true && !types && !lazy)
    fail(`package ${name} is optional: load it with import()`);
  if (!tree.dependencies.has(name)) fail(`package ${name} is not a dependency in package.json`);
}

function layerOf(file: string): string {
  return file.split('/')[0]!.replace(/\.ts$/, '');
}

/** `kv/lmdb` for `kv/lmdb/store.ts`; nothing for a file that belongs to the contract. */
function driverOf(file: string): string | undefined {
  const parts = file.split('/');
  const folder = parts.slice(0, 2).join('/');
  return driverHomes.includes(parts[0]!) &&
    parts.length > 2 &&
    parts[1] !== 'internal' &&
    !sharedFolders.includes(folder)
    ? folder
    : undefined;
}
