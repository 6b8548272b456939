/**
 * Runs before each test file: `MILLRACE_SEED` makes every property draw from that seed, as a failed run printed it.
 *
 * @module
 */
const seed = process.env['MILLRACE_SEED'];
if (seed !== undefined) {
  const { configureGlobal } = await import('fast-check');
  configureGlobal({ seed: Number(seed) });
}
