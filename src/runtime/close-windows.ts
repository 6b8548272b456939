/**
 * Closes the windows that stream time has passed, at the beginning of a commit: what they send belongs to it.
 *
 * @module
 */
import type { EventCell } from '../core/event.ts';
import type { Processing } from '../table/processing.ts';
import { finalError } from './steps.ts';
import { newEvent } from './task-life.ts';
import type { TaskLife } from './task-life.ts';

/** Returns a promise if somebody behind the windows takes time. @throws what they throw, as the error of a task. */
export function closeWindows(
  life: TaskLife,
  processing: Processing,
  task: string,
): Promise<void> | undefined {
  if (!Number.isFinite(life.time.now)) return undefined;
  const { cell, windows, time } = life;
  const event = newEvent(cell.tables.partition);
  let wait: void | Promise<void> = undefined;
  cell.event = event;
  try {
    wait = processing.within(cell, () => windows.close(time.now, event));
  } catch (error) {
    throw finalError(task, event, error);
  } finally {
    if (wait === undefined) cell.event = null;
  }
  return wait === undefined ? undefined : closing(life, event, wait, task);
}

/** A task that is dropped does not wait: what is stuck must not keep it. */
async function closing(
  life: TaskLife,
  event: EventCell,
  wait: Promise<void>,
  task: string,
): Promise<void> {
  const { signal } = life.abort;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort);
  try {
    await Promise.race([wait, aborted.promise]);
  } catch (error) {
    throw signal.aborted ? error : finalError(task, event, error);
  } finally {
    signal.removeEventListener('abort', onAbort);
    life.cell.event = null;
  }
}
