/**
 * A progress bar on a terminal, a line every two seconds elsewhere.
 *
 * @module
 */
import { stdout } from 'node:process';

const WIDTH = 28;
const count = new Intl.NumberFormat('en-US');

/** Shows how far something has come. */
export class Progress {
  readonly #label: string;
  readonly #total: number;
  readonly #from: number;
  readonly #startedAt = performance.now();
  #shownAt = -Infinity;

  /** `from` was done before; the rate counts what comes after. */
  constructor(label: string, total: number, from: number) {
    this.#label = label;
    this.#total = total;
    this.#from = from;
  }

  /** Draws if it is time to. */
  show(done: number, note = ''): void {
    const now = performance.now();
    if (now - this.#shownAt < (stdout.isTTY ? 100 : 2_000)) return;
    this.#shownAt = now;
    this.#draw(done, note, stdout.isTTY ? '' : '\n');
  }

  /** Draws the end and returns the rate, per second. */
  end(done: number, note = ''): number {
    this.#draw(done, note, '\n');
    return this.#rate(done);
  }

  #rate(done: number): number {
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    return seconds > 0 ? (done - this.#from) / seconds : 0;
  }

  #draw(done: number, note: string, end: string): void {
    const share = Math.min(1, this.#total === 0 ? 1 : done / this.#total);
    const bar = '█'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '░');
    const rate = this.#rate(done);
    const left =
      rate > 0 && done < this.#total ? `  ${Math.ceil((this.#total - done) / rate)} s left` : '';
    const line = `${this.#label} ${bar} ${(share * 100).toFixed(0).padStart(3)} %  ${count.format(Math.round(rate)).padStart(9)}/s${left}${note}`;
    stdout.write(`${stdout.isTTY ? '\r\u001b[K' : ''}${line}${end}`);
  }
}

/** A number for people. */
export function readable(value: number): string {
  return count.format(value);
}
