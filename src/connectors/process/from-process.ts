/**
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';

import { systemClock } from '../../core/clock.ts';
import { durationMs } from '../../core/duration.ts';
import type { Duration } from '../../core/duration.ts';
import { MillraceError } from '../../core/errors.ts';
import { checkOptions, kindOf } from '../../core/given.ts';
import type { Stream } from '../../stream/stream.ts';
import { outside } from '../failure.ts';
import { byteLimit, connectorOptions, oneOf, textOf } from '../options.ts';
import type { ConnectorOptions } from '../options.ts';
import { sourceOf } from '../source.ts';
import { frameReader, Splitter } from '../splitter.ts';
import { Tasks } from '../tasks.ts';

/** What {@link fromProcess} takes. */
export interface FromProcessOptions extends ConnectorOptions {
  /** What ends a line, 1 to 1,024 bytes. Default a line feed. */
  readonly delimiter?: string | Uint8Array | undefined;
  /** Whether values keep their delimiter. Default true. */
  readonly keepEnd?: boolean | undefined;
  /** Whether lines of standard error are values too. When false, they go where those of this process go. Default false. */
  readonly stderr?: boolean | undefined;
  /** Makes texts of the bytes. Default: values are `Buffer`s. */
  readonly encoding?: 'utf8' | 'latin1' | undefined;
  /** The longest line, delimiter included, 1 byte to 1 GiB. A longer one ends the process and fails the stream. Default 1 MiB. */
  readonly maxLineBytes?: number | undefined;
  /** Where it runs. Default: where this process does. */
  readonly cwd?: string | undefined;
  /** Its environment. Default: that of this process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** How long a process that is stopped may take to end after SIGTERM, before it gets SIGKILL. Default 5 s. */
  readonly killAfter?: Duration | undefined;
}

/** With an encoding values are texts. */
export interface TextProcessOptions {
  readonly encoding: 'utf8' | 'latin1';
}

/**
 * What a program prints, line by line. There is no shell: arguments are passed as they are. The program runs from the first listener, or from
 * `start()`, to its end, which closes the stream; closing the stream ends the program, but not those that it has started.
 *
 * - *Order*: of standard output; with `stderr`, between the two as lines arrive.
 * - *Back-pressure*: output is read no faster than lines are dealt with; the program has to wait once the pipe is full.
 * - *State*: an incomplete line of up to `maxLineBytes`, and a chunk of 64 KiB.
 * - *Delivery*: each line once; the last one also without its delimiter. What a program has printed that is stopped may be lost.
 *
 * It fails with `MR_IO` when the program cannot be started (`details.system`), exits with another code than 0 (`details.exitCode`) or is killed by
 * somebody else (`details.signal`), once its lines have been dealt with; with `MR_RECORD_TOO_LARGE` on a line that is too long.
 *
 * ```ts
 * import { fromProcess } from 'millrace/process';
 *
 * const lines = fromProcess('printf', ['one\ntwo'], { encoding: 'utf8', keepEnd: false });
 * await lines.toArray(); // => ['one', 'two']
 * ```
 *
 * @throws {@link MillraceError} `MR_OPTION_INVALID`, `MR_ARGUMENT_INVALID`
 */
export function fromProcess(
  command: string,
  args: readonly string[],
  options: FromProcessOptions & TextProcessOptions,
): Stream<string>;
export function fromProcess(
  command: string,
  args?: readonly string[],
  options?: FromProcessOptions,
): Stream<Buffer>;
export function fromProcess(
  command: string,
  args: readonly string[] = [],
  options: FromProcessOptions = {},
): Stream<Buffer | string> {
  textOf('fromProcess', command);
  if (!Array.isArray(args))
    throw new MillraceError(
      'MR_ARGUMENT_INVALID',
      `fromProcess was given ${kindOf(args)} as arguments; give an array of texts: fromProcess('ls', ['-l'])`,
    );
  checkOptions<FromProcessOptions>('fromProcess', options, {
    ...connectorOptions,
    delimiter: true,
    keepEnd: true,
    stderr: true,
    encoding: true,
    maxLineBytes: true,
    cwd: true,
    env: true,
    killAfter: true,
  });
  const { delimiter = '\n', keepEnd = true, stderr = false, encoding, cwd, env } = options;
  const { clock = systemClock() } = options;
  if (encoding !== undefined) oneOf('encoding', encoding, ['utf8', 'latin1']);
  const killAfterMs = durationMs(options.killAfter ?? '5s', 'killAfter');
  const maxBytes = byteLimit('maxLineBytes', options.maxLineBytes);
  const newSplitter = (): Splitter =>
    new Splitter({
      delimiter,
      maxBytes,
      keep: keepEnd,
      what: `a line of ${command}`,
      option: 'maxLineBytes',
    });
  // A wrong delimiter is told where it is given.
  newSplitter();

  const valueOf = frameReader(encoding);
  return sourceOf<Buffer | string>('fromProcess', options, async ({ emitAll, signal, opened }) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', stderr ? 'pipe' : 'inherit'],
      cwd,
      // Without a prototype, or read-only: spawn wants a plain object.
      env: env === undefined ? undefined : { ...env },
    });
    const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    // Of one that did not start, `spawned` tells.
    exit.catch(() => undefined);
    try {
      await once(child, 'spawn');
    } catch (error) {
      throw outside(
        `${command} cannot be started; is it installed and in the PATH, and is there a directory ${cwd ?? '.'}`,
        error,
        { command },
      );
    }
    const outputs = [child.stdout, child.stderr].filter((output) => output !== null);
    const stop = (): void => {
      child.kill('SIGTERM');
      const timer = clock.setTimer(killAfterMs, () => child.kill('SIGKILL'));
      const cancel = (): void => timer.cancel();
      exit.then(cancel, cancel);
      for (const output of outputs) output.destroy();
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    opened();

    const read = async (output: Readable): Promise<void> => {
      const splitter = newSplitter();
      for await (const chunk of output as AsyncIterable<Buffer>)
        await emitAll(splitter.push(chunk).map(valueOf));
      const rest = splitter.rest();
      if (rest !== undefined) await emitAll([valueOf(rest)]);
    };
    const reading = new Tasks();
    for (const output of outputs) reading.start(() => read(output));
    try {
      await Promise.race([reading.settled(), reading.failure]);
      const [exitCode, killedBy] = await exit;
      if (exitCode !== 0 && !signal.aborted) throw badEnd(command, exitCode, killedBy);
    } catch (error) {
      if (!signal.aborted) stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
      await exit;
      await reading.settled();
    }
  });
}

function badEnd(
  command: string,
  exitCode: number | null,
  signal: NodeJS.Signals | null,
): MillraceError {
  return new MillraceError(
    'MR_IO',
    exitCode === null
      ? `${command} was killed by ${String(signal)}; look at who did that, and at its memory`
      : `${command} has ended with exit code ${exitCode}; look at what it says on standard error`,
    { domain: 'external', details: { command, exitCode, signal } },
  );
}
