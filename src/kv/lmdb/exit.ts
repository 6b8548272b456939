/**
 * The end of a process while lmdb-js is about to call it back.
 *
 * A thread of lmdb-js that has begun a transaction waits for the main thread to run its body. A process that ends (`process.exit`, an exception
 * that nobody catches) runs nothing any more, but waits for its threads: it would hang for ever, and keep the lock that the writers of all
 * processes wait for. Becoming another program, which exits with the same status, waits for no thread, and the lock then counts as left
 * behind by a dead holder. Nothing of such a transaction has been written.
 *
 * @module
 */
import { inspect } from 'node:util';
import { isMainThread } from 'node:worker_threads';

/** Sees to it that the process can end, whatever one store is doing. */
export class ExitGuard {
  #begun = false;
  #fatal: { readonly error: unknown } | undefined;

  constructor() {
    if (!isMainThread) return;
    process.on('exit', this.#onExit);
    process.on('uncaughtExceptionMonitor', this.#onUncaught);
  }

  /** lmdb-js was asked for a transaction. */
  begun(): void {
    this.#begun = true;
  }

  /** The body is running, or will not be called: the rest needs nothing of the main thread. */
  called(): void {
    this.#begun = false;
  }

  close(): void {
    process.off('exit', this.#onExit);
    process.off('uncaughtExceptionMonitor', this.#onUncaught);
  }

  /** Node prints what ends the process behind `exit`, which this process will not come to. */
  readonly #onUncaught = (error: unknown): void => {
    if (process.listenerCount('uncaughtException') === 0) this.#fatal = { error };
  };

  readonly #onExit = (code: number): void => {
    if (!this.#begun) return;
    const listeners = process.rawListeners('exit');
    // This one comes back to none of those that were added later.
    for (const listener of listeners.slice(listeners.indexOf(this.#onExit) + 1))
      Reflect.apply(listener, process, [code]);
    if (this.#fatal !== undefined) process.stderr.write(`Uncaught ${inspect(this.#fatal.error)}\n`);
    const status = Number(process.exitCode ?? code);
    try {
      process.execve?.(process.execPath, [process.execPath, '-e', `process.exit(${status})`], {});
    } catch {
      // Not on this platform.
    }
    process.kill(process.pid, 'SIGKILL');
  };
}
