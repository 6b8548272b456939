/**
 * What a failed command says, and the status it ends with.
 *
 * @module
 */
import { fileURLToPath, pathToFileURL } from 'node:url';

import { MillraceError, messageOf } from '../core/errors.ts';

/** Causes of causes that are shown. */
const MAX_CAUSES = 5;

/** Where millrace's own code lies: its frames say nothing to whoever wrote the app. */
const here = fileURLToPath(new URL('../', import.meta.url));
const hereUrl = pathToFileURL(here).href;

/** `millrace: CODE: text`, then what caused it, with the frames of stacks that lie in the user's code. */
export function describeFailure(error: unknown): string {
  const lines = [`millrace: ${nameAndMessage(error)}`, ...userFrames(error)];
  let cause = causeOf(error);
  for (let depth = 0; cause !== undefined && depth < MAX_CAUSES; depth++) {
    lines.push(`  caused by ${nameAndMessage(cause)}`, ...userFrames(cause));
    cause = causeOf(cause);
  }
  return lines.join('\n');
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

/** `CODE: text` of millrace's errors, name and text of others. */
export function nameAndMessage(error: unknown): string {
  if (!(error instanceof Error)) return messageOf(error);
  if (MillraceError.is(error)) return `${error.code}: ${error.message}`;
  const { stack = '', name, message } = error;
  // A module with a syntax error has its place and the line of source in front of the stack, and nowhere else.
  const lines = stack.split('\n');
  const at = lines.findIndex(
    (line) => line.startsWith(`${name}: `) || line.startsWith(`${name} [`),
  );
  const source = at > 0 ? `${lines.slice(0, at).join('\n').trimEnd()}\n` : '';
  return `${source}${name}: ${message}`;
}

/** The frames of a stack that lie neither in Node nor in millrace nor in its command line's parser. */
function userFrames(error: unknown): string[] {
  if (!(error instanceof Error) || error.stack === undefined) return [];
  return error.stack
    .split('\n')
    .filter(
      (line) =>
        /^\s+at /.test(line) &&
        !/\(?(?:node:|<anonymous>)/.test(line) &&
        !line.includes('/node_modules/commander/') &&
        !line.includes(hereUrl) &&
        !line.includes(here),
    );
}
