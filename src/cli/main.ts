#!/usr/bin/env node
/**
 * The program `millrace`: one command of {@link runProgram} over the streams of this process.
 *
 * @module
 */
import { runProgram } from './program.ts';
import { Interrupted, openTerminal } from './terminal.ts';

const terminal = openTerminal(process);

/** The first signal ends a command in order, the second at once. */
function onSignals(): void {
  let signals = 0;
  const listen = (signal: NodeJS.Signals, status: number): void => {
    process.on(signal, () => {
      if (++signals > 1) process.exit(status);
      terminal.interrupt(new Interrupted(status));
    });
  };
  listen('SIGINT', 130);
  listen('SIGTERM', 143);
}

const status = await runProgram(process.argv.slice(2), terminal, {
  begin: (ownSignals) => {
    if (!ownSignals) onSignals();
  },
});
await Promise.all(
  [process.stdout, process.stderr].map(
    (stream) =>
      new Promise<void>((resolve) => {
        // The callback comes with an error when nobody reads any more.
        if (stream.destroyed) resolve();
        else stream.write('', () => resolve());
      }),
  ),
);
// A module may have left timers and connections open, which are none of this program's business.
process.exit(status);
