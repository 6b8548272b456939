/**
 * Packages that only some programs need: optional peer dependencies, loaded when they are asked for.
 *
 * @module
 */
import { MillraceError } from './errors.ts';

/**
 * What `load` imports.
 *
 * @param name The package to install, for the error.
 * @param use What needs it, for the error: `'readable log lines need'`.
 * @param instead What else could be done, for the error.
 * @throws {@link MillraceError} `MR_DEPENDENCY_MISSING` when it cannot be loaded.
 */
export async function optionalPackage<T>(
  name: string,
  use: string,
  load: () => Promise<T>,
  instead?: string,
): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw new MillraceError(
      'MR_DEPENDENCY_MISSING',
      `${name} cannot be loaded, which ${use}; install it with npm install ${name}${instead === undefined ? '' : `, or ${instead}`}`,
      { domain: 'external', cause: error, details: { package: name } },
    );
  }
}
