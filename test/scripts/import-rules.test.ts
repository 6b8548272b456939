/** Every rule of scripts/lib/import-rules.ts catches a seeded violation, and lets the lawful twin of it pass. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { checkImports } from '../../scripts/lib/import-rules.ts';

const manifest = JSON.stringify({
  dependencies: { lmdb: '1', '@standard-schema/spec': '1' },
  peerDependencies: { ws: '1' },
});

/** Runs the rules over a small tree and returns what it complains about. */
function check(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(join(tmpdir(), 'check-imports-'));
  try {
    writeFileSync(join(root, 'package.json'), manifest);
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, 'src', name)), { recursive: true });
      writeFileSync(join(root, 'src', name), text);
    }
    return [...checkImports(root).problems];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** What most of the seeded trees import. */
const base = {
  'core/a.ts': 'export const a = 1;\n',
  'kv/kv.ts': "import { a } from '../core/a.ts';\nexport const kv = a;\n",
  'kv/lmdb/store.ts': "import { open } from 'lmdb';\nexport { open };\n",
  'kv/simulated/store.ts': "export { kv } from '../kv.ts';\n",
  'broker/memory/broker.ts': 'export const memory = 1;\n',
  'broker/log/broker.ts': "import type { kv } from '../../kv/kv.ts';\nexport type T = typeof kv;\n",
};

test('a lawful tree passes', () => {
  const files = {
    ...base,
    'core/clock.ts': 'export const now = () => Date.now();\n',
    'core/internal/heap.ts': 'export const heap = 1;\n',
    'core/queue.ts': "import { heap } from './internal/heap.ts';\nexport { heap };\n",
    'broker/open.ts':
      "import type { memory } from './memory/broker.ts';\nexport const m: typeof memory = (await import('./memory/broker.ts')).memory;\nawait import('../kv/lmdb/store.ts');\n",
    'broker/groups/roster.ts': 'export const roster = 1;\n',
    'broker/log/groups.ts': "export { roster } from '../groups/roster.ts';\n",
    'testing/index.ts': "/** Twins. */\nexport { kv } from '../kv/simulated/store.ts';\n",
    'connectors/websocket/ok.ts':
      "import type { WebSocket } from 'ws';\nexport const load = async (): Promise<typeof WebSocket> => (await import('ws')).WebSocket;\n",
    'codec/schema.ts': "export type { StandardSchemaV1 } from '@standard-schema/spec';\n",
    'stream/prose.ts':
      "// import { x } from '../app/app.ts'; Date.now() is forbidden\n/* Math.random() */\nexport const text = 'never setTimeout(fn)' + `nor ${'Date.now'}`;\nexport const pattern = /['\"`]/;\nexport const later = (at: number): Date => new Date(at);\n",
  };
  expect(check(files)).toEqual([]);
});

test.each<[string, Record<string, string>, string]>([
  [
    'upwards',
    { 'core/b.ts': "\nimport { kv } from '../kv/kv.ts';\n" },
    'src/core/b.ts:2: core may not import kv (kv/kv.ts)',
  ],
  [
    'upwards, over several lines',
    { 'core/b.ts': "import type {\n  kv,\n} from '../kv/kv.ts';\n" },
    'src/core/b.ts:1: core may not import kv (kv/kv.ts)',
  ],
  [
    'upwards, for its effects',
    { 'core/b.ts': "import '../kv/kv.ts';\n" },
    'src/core/b.ts:1: core may not import kv (kv/kv.ts)',
  ],
  [
    'upwards, re-exported',
    { 'core/b.ts': "export * from '../kv/kv.ts';\n" },
    'src/core/b.ts:1: core may not import kv (kv/kv.ts)',
  ],
  [
    'upwards, lazily',
    { 'core/b.ts': "export const b = () => import('../kv/kv.ts');\n" },
    'src/core/b.ts:1: core may not import kv (kv/kv.ts)',
  ],
  [
    'the root entry from inside',
    { 'index.ts': "export { a } from './core/a.ts';\n", 'app/b.ts': "import '../index.ts';\n" },
    'src/app/b.ts:1: app may not import index (index.ts)',
  ],
  [
    'a folder of no layer',
    { 'misc/b.ts': 'export const b = 1;\n' },
    'src/misc/b.ts:1: folder "misc" is not in the table of layers',
  ],
  [
    'the inside of another folder',
    { 'core/internal/x.ts': '', 'kv/b.ts': "import '../core/internal/x.ts';\n" },
    'src/kv/b.ts:1: core/internal/x.ts is internal to src/core',
  ],
  [
    'a driver from its sibling',
    { 'kv/simulated/b.ts': "import '../lmdb/store.ts';\n" },
    'src/kv/simulated/b.ts:1: driver kv/simulated may not import driver kv/lmdb',
  ],
  [
    'a driver from a driver of another contract',
    { 'broker/log/b.ts': "import '../../kv/lmdb/store.ts';\n" },
    'src/broker/log/b.ts:1: driver broker/log may not import driver kv/lmdb',
  ],
  [
    'a driver from above',
    { 'app/b.ts': "import '../broker/memory/broker.ts';\n" },
    'src/app/b.ts:1: driver broker/memory may not be named here; go through its contract',
  ],
  [
    'a driver from its own contract',
    { 'kv/b.ts': "import './lmdb/store.ts';\n" },
    'src/kv/b.ts:1: driver kv/lmdb may not be named here; go through its contract',
  ],
  [
    'a real store from testing',
    { 'testing/b.ts': "import '../kv/lmdb/store.ts';\n" },
    'src/testing/b.ts:1: driver kv/lmdb may not be named here; go through its contract',
  ],
  [
    'a driver loaded at once',
    { 'broker/open.ts': "import { open } from '../kv/lmdb/store.ts';\nopen();\n" },
    'src/broker/open.ts:1: driver kv/lmdb must be loaded with import() here',
  ],
  [
    'a package outside its folder',
    { 'kv/b.ts': "import { open } from 'lmdb';\n" },
    'src/kv/b.ts:1: package lmdb may be imported only in src/kv/lmdb/',
  ],
  [
    'a package of types as a value',
    { 'codec/b.ts': "import { x } from '@standard-schema/spec';\n" },
    'src/codec/b.ts:1: package @standard-schema/spec is for types: write `import type`',
  ],
  [
    'an optional package that everybody would load',
    { 'connectors/websocket/a.ts': "import { WebSocket } from 'ws';\n" },
    'src/connectors/websocket/a.ts:1: package ws is optional: load it with import()',
  ],
  [
    'a connector that uses another one',
    { 'connectors/tcp/a.ts': "import { b } from '../http/b.ts';\n" },
    'src/connectors/tcp/a.ts:1: driver connectors/tcp may not import driver connectors/http',
  ],
  [
    'a package that is not a dependency',
    { 'codec/b.ts': "import { pack } from 'msgpackr';\n" },
    'src/codec/b.ts:1: package msgpackr is not a dependency in package.json',
  ],
  [
    'an index with code of its own',
    { 'testing/index.ts': "export { a } from '../core/a.ts';\nexport const b = 1;\n" },
    'src/testing/index.ts:2: an index.ts holds only `export … from` statements',
  ],
])('refused: %s', (_name, files, complaint) => {
  expect(check({ ...base, ...files })).toEqual([complaint]);
});

test('an unknown package may be imported nowhere', () => {
  expect(check({ ...base, 'app/b.ts': "import 'left-pad/sub';\n" })).toEqual([
    'src/app/b.ts:1: package left-pad may be imported nowhere in src',
    'src/app/b.ts:1: package left-pad is not a dependency in package.json',
  ]);
});

test('time and chance come from core', () => {
  const uses = [
    'Date.now()',
    'new Date()',
    'Math.random()',
    'performance.now()',
    'process.hrtime.bigint()',
    'setTimeout(f, 1)',
    'setInterval(f, 1)',
    'setImmediate(f)',
    'crypto.randomUUID()',
    'randomBytes(8)',
    "import('node:timers/promises')",
  ];
  const text = uses.map((use, i) => `export const use${i} = () => ${use};\n`).join('');
  const lines = check({ ...base, 'runtime/b.ts': text }).map(
    (complaint) => complaint.split(':')[1],
  );
  expect(new Set(lines)).toEqual(new Set(uses.map((_use, i) => String(i + 1))));
});
