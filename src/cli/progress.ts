/**
 * Progress of what takes long, on standard error, for whoever watches it.
 *
 * @module
 */
import type { Terminal } from './terminal.ts';
import { count } from './text.ts';

/** Whoever waits less than this is not bothered. */
const QUIET_MS = 2_000;
/** Least time between two pictures. */
const EVERY_MS = 200;

/** One line that is painted over. Nothing at all when nobody watches. */
export class Progress {
  readonly #terminal: Terminal;
  readonly #what: string;
  readonly #startMs: number;
  #nextMs: number;
  #shown = false;

  /** `what` is being done, as in `reading orders`. */
  constructor(terminal: Terminal, what: string) {
    this.#terminal = terminal;
    this.#what = what;
    this.#startMs = terminal.clock.monotonic();
    this.#nextMs = this.#startMs + QUIET_MS;
  }

  /** `done` of `total` are done; `undefined` when nobody knows how many there are. */
  at(done: number, total: number | undefined, unit = 'records'): void {
    if (!this.#terminal.watched) return;
    const nowMs = this.#terminal.clock.monotonic();
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + EVERY_MS;
    this.#shown = true;
    const seconds = Math.round((nowMs - this.#startMs) / 1_000);
    const share =
      total === undefined || total <= 0
        ? `${count(done)} ${unit}`
        : `${Math.min(100, Math.floor((done / total) * 100))} % of ${count(total)} ${unit}`;
    this.#terminal.complain(`\r\u001b[K${this.#what}: ${share}, ${seconds} s`);
  }

  /** Takes the line away. Idempotent. */
  end(): void {
    if (this.#shown) this.#terminal.complain('\r\u001b[K');
    this.#shown = false;
  }
}
