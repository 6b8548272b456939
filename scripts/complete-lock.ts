/**
 * Completes package-lock.json after `npm install`.
 *
 * npm leaves out the platform packages (`@scope/name-darwin-arm64`, …) that it could not look up at install time, and
 * `npm ci` then refuses the lock file as out of step. This adds an entry for each of them: optional, exact version,
 * with the platform read from its name, so that npm skips it everywhere else.
 *
 * Run: `node scripts/complete-lock.ts` after every change of dependencies.
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface LockPackage {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  optionalDependencies?: Record<string, string>;
}

const systems = [
  'aix',
  'android',
  'darwin',
  'freebsd',
  'linux',
  'netbsd',
  'openbsd',
  'openharmony',
  'sunos',
  'win32',
];
const processors = [
  'arm64',
  'arm',
  'ia32',
  'loong64',
  'mips64el',
  'ppc64',
  'riscv64',
  's390x',
  'wasm32',
  'x64',
];

const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
  packages: Record<string, LockPackage>;
};
let added = 0;
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (Object.keys(lock.packages).some((path) => path.endsWith(`node_modules/${name}`))) continue;
    const system = systems.find((word) => name.includes(word));
    const processor = processors.find((word) => name.includes(word));
    if (system === undefined && processor === undefined) continue;
    lock.packages[`node_modules/${name}`] = {
      version: version.replace(/^[\^~]/, ''),
      ...(processor === undefined ? {} : { cpu: [processor] }),
      ...(parent.dev === true ? { dev: true } : {}),
      optional: true,
      ...(system === undefined ? {} : { os: [system] }),
    };
    added++;
  }
}
const root = lock.packages[''];
delete lock.packages[''];
const sorted = Object.entries(lock.packages).toSorted(([a], [b]) => (a < b ? -1 : 1));
lock.packages = Object.fromEntries([['', root], ...sorted] as [string, LockPackage][]);
writeFileSync('package-lock.json', `${JSON.stringify(lock, null, 2)}\n`);
console.log(`complete-lock: ${added} platform packages added`);
