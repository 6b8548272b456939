/**
 * Builds `dist/` from `src/`: plain JavaScript, declarations and source maps, nothing bundled.
 *
 * Run: `npm run build`.
 *
 * @module
 */
import { chmodSync, readFileSync, rmSync } from 'node:fs';
import { run } from './lib/run.ts';

const { bin } = JSON.parse(readFileSync('package.json', 'utf8')) as { bin: Record<string, string> };

rmSync('dist', { recursive: true, force: true });
const { status, output } = await run('tsc', ['-p', 'tsconfig.build.json']);
process.stdout.write(output);
if (status !== 0) process.exit(status);

for (const program of Object.values(bin)) {
  if (!readFileSync(program, 'utf8').startsWith('#!/usr/bin/env node\n'))
    throw new Error(`${program} does not start with #!/usr/bin/env node`);
  chmodSync(program, 0o755);
}
