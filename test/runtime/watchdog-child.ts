/**
 * A process under a watchdog that then does what it is told in its first argument.
 *
 * Run: `watchdog-child.ts <what> [path]`.
 */
import { readFileSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { openLmdb } from '../../src/kv/lmdb/lmdb.ts';
import { startWatchdog } from '../../src/runtime/watchdog.ts';
import { KV_TABLES } from '../../src/testing/conformance/kv.ts';

const [what = '', path = ''] = process.argv.slice(2);
const STUCK_AFTER_MS = 1000;
const clock = systemClock();
const watchdog = startWatchdog({ stuckAfterMs: STUCK_AFTER_MS, clock });
watchdog.beat('task orders/3 at orders/3@4711');

function spinForEver(): never {
  for (;;);
}

/** Holds up the thread, as synchronous code does. */
function block(forMs: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forMs);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

process.on('exit', () => say('an exit listener ran'));

switch (what) {
  case 'spin':
    try {
      spinForEver();
    } finally {
      say('a finally block ran');
    }
  case 'promises':
    for (;;) await Promise.resolve();
  case 'native':
    // A pipe without a writer: opening it blocks in the system call.
    readFileSync(path);
    break;
  case 'transaction': {
    // The store's lock is held, and its clean-up at the end of a process would wait for it.
    const kv = await openLmdb({ path, tables: KV_TABLES });
    await kv.transact(() => spinForEver());
    break;
  }
  case 'beat':
    // As long as it beats it is not stuck, although no timer runs.
    for (let i = 0; i < 20; i++) {
      block(STUCK_AFTER_MS / 10);
      watchdog.beat();
    }
    say('not stuck');
    break;
  case 'idle':
    // The event loop turns, and nobody beats.
    clock.setTimer(2 * STUCK_AFTER_MS, () => say('not stuck'));
    break;
  case 'stopped':
    await watchdog.stop();
    block(2 * STUCK_AFTER_MS);
    say('not stuck');
    break;
  default:
    // Nothing to do: the watchdog must not keep the process alive.
    say('not stuck');
}
