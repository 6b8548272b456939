/**
 * The thread behind `watchdog.ts`: watches the heartbeat of the main thread and ends the process when it has stopped.
 *
 * A thread cannot end its process with a code of its choice. It can ask the main thread to, through the inspector, which interrupts JavaScript
 * even in an endless loop, and says where it is. Native code cannot be interrupted: then what is left is a signal.
 *
 * @module
 */
import { write } from 'node:fs';
import type { Debugger } from 'node:inspector';
import { workerData } from 'node:worker_threads';
import { systemClock } from '../core/clock.ts';
import { Heartbeat, watchHeartbeat } from './watchdog-heartbeat.ts';
import type { WatchdogThreadData } from './watchdog.ts';

/** For an answer of the main thread, for writing the line, and for the end after that. */
const ANSWER_MS = 2000;
const FRAMES = 5;

const { buffer, stuckAfterMs, exitCode } = workerData as WatchdogThreadData;
const heartbeat = new Heartbeat(buffer);
const clock = systemClock();

watchHeartbeat({ heartbeat, clock, stuckAfterMs, onStuck: (silentMs) => void end(silentMs) });

/**
 * Leaving in the usual way runs clean-up code of native modules, which may wait for what the main thread holds: lmdb waits for ever for a
 * transaction that is stuck. Becoming another program runs nothing.
 */
const exit = `process.execve(process.execPath, [process.execPath, '-e', 'process.exit(${exitCode})'], {})`;

async function end(silentMs: number): Promise<void> {
  const label = heartbeat.label;
  const what = `millrace: the main thread has been stuck for ${Math.round(silentMs)} ms${label === '' ? '' : `, last in ${label}`}`;
  let [paused, late] = [false, false];
  clock.setTimer(ANSWER_MS, () => {
    if (paused) return;
    late = true;
    say(`${what}, in native code; the process is killed`, kill);
  });
  try {
    const { Session } = await import('node:inspector');
    const session = new Session();
    session.connectToMainThread();
    const files = new Map<string, string>();
    session.on('Debugger.scriptParsed', ({ params }) => files.set(params.scriptId, params.url));
    session.once('Debugger.paused', ({ params }) => {
      if (late) return;
      paused = true;
      const where = stackOf(params.callFrames, files);
      say(`${what}, at ${where}; the process ends with code ${exitCode}`, () => {
        session.post('Runtime.evaluate', { expression: exit });
        clock.setTimer(ANSWER_MS, kill);
      });
    });
    session.post('Debugger.enable');
    session.post('Debugger.pause');
  } catch {
    // There is no inspector to be had; the timer ends the process.
  }
}

function stackOf(
  frames: readonly Debugger.CallFrame[],
  files: ReadonlyMap<string, string>,
): string {
  return frames
    .slice(0, FRAMES)
    .map(({ functionName, location: { scriptId, lineNumber, columnNumber = 0 } }) => {
      const place = `${files.get(scriptId) ?? 'unknown'}:${lineNumber + 1}:${columnNumber + 1}`;
      return functionName === '' ? place : `${functionName} (${place})`;
    })
    .join(' < ');
}

/** Writes a line past the main thread's streams, which are stuck too, and goes on when it is written, cannot be, or takes too long. */
function say(text: string, then: () => void): void {
  let done = false;
  const next = (): void => {
    if (!done) then();
    done = true;
  };
  clock.setTimer(ANSWER_MS, next);
  write(2, `${text}\n`, next);
}

function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}
