/** Libraries in C that are loaded into a child in front of the platform's, to stand between a program and its disk. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { TestContext } from 'vitest';

/** Compiles a file of `test/faults` into `directory`, and returns the path of the library. Skips the test where that cannot be; with `CI=true` that is an error. */
export function preload(context: TestContext, file: string, directory: string): string {
  const library = join(directory, `${file}.so`);
  const source = fileURLToPath(new URL(`../${file}`, import.meta.url));
  let reason: string | undefined;
  if (process.platform !== 'linux') reason = 'it takes LD_PRELOAD';
  else
    try {
      const args = ['-shared', '-fPIC', '-o', library, source, '-ldl', '-lpthread'];
      execFileSync('cc', args, { stdio: 'ignore' });
    } catch {
      reason = 'no C compiler';
    }
  if (reason !== undefined) {
    expect(process.env['CI'], reason).not.toBe('true');
    context.skip(reason);
  }
  return library;
}
