/**
 * Private memory of this process: what `RssAnon` of Linux counts. Mapped pages of the log are not in it.
 *
 * @module
 */
import { readFileSync } from 'node:fs';

/** Megabytes of private memory now; heap and external memory where the system does not tell. */
function privateMegabytes(): number {
  try {
    const line = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'));
    if (line !== null) return Number(line[1]) / 1024;
  } catch {
    // Not Linux.
  }
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1024 / 1024;
}

/** Samples memory until it is stopped; gives the peak in megabytes. */
export function watchMemory(): () => number {
  let peak = privateMegabytes();
  const timer = setInterval(() => {
    peak = Math.max(peak, privateMegabytes());
  }, 50);
  timer.unref();
  return () => {
    clearInterval(timer);
    return Math.max(peak, privateMegabytes());
  };
}
