/**
 * An app as a program.
 *
 * @module
 */
import { MillraceError, messageOf } from '../core/errors.ts';
import type { Running } from './running.ts';

/** What {@link runMain} needs of an app. */
export interface Program {
  readonly id: string;
  start(): Promise<Running>;
  close(): Promise<void>;
  topology(): string;
}

/** How long a worker may take to stop when the process is told to end. */
const DEADLINE = '30s';

/** Runs a command of the app and sets the exit status of the process. */
export async function runMain(app: Program, argv: readonly string[]): Promise<void> {
  const [command = 'worker', ...rest] = argv;
  if (rest.length > 0 || !['worker', 'topology'].includes(command)) {
    console.error(
      `usage: worker | topology\n\n  worker    processes until SIGTERM or SIGINT (default)\n  topology  prints what would run`,
    );
    process.exitCode = 2;
    return;
  }
  if (command === 'topology') {
    console.log(app.topology());
    return;
  }
  await runWorker(app);
}

async function runWorker(app: Program): Promise<void> {
  let running: Running | undefined;
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (++signals > 1) process.exit(1);
    console.error(`${app.id}: ${signal}, stopping (again to end at once)`);
    running?.stop({ deadline: DEADLINE }).catch(() => undefined);
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  try {
    running = await app.start();
    console.error(`${app.id}: worker running`);
    if (signals > 0) await running.stop({ deadline: DEADLINE });
    await running.done;
    await app.close();
    console.error(`${app.id}: stopped`);
  } catch (error) {
    console.error(`${app.id}: ${describe(error)}`);
    // Whatever is stuck must not keep a failed worker alive.
    process.exit(1);
  } finally {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
  }
}

/** The texts of an error and of what caused it. */
function describe(error: unknown): string {
  const lines = [MillraceError.is(error) ? `${error.code}: ${error.message}` : messageOf(error)];
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error) lines.push(`  caused by ${cause.stack ?? cause.message}`);
  return lines.join('\n');
}
