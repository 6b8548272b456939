/**
 * What a measurement gives.
 *
 * @module
 */
import { watchMemory } from './memory.ts';

/**
 * Numbers by name. Those that every throughput has: `events`, `perSecond`, `cpuMicroseconds` (of all threads, per event), `megabytes` (peak,
 * private).
 */
export type Figures = Readonly<Record<string, number>>;

/** Times a body that tells how many events it has handled. */
export async function measured(body: () => number | Promise<number>): Promise<Figures> {
  const peak = watchMemory();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const events = await body();
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  return {
    events,
    perSecond: events / seconds,
    cpuMicroseconds: (user + system) / events,
    megabytes: peak(),
  };
}

/** The middle and the tail of some times in milliseconds. */
export function percentiles(times: readonly number[]): Figures {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), events: sorted.length };
}
