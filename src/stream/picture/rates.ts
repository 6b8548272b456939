/**
 * @module
 */
import type { LiveNode } from '../live-node.ts';

const whole: Intl.NumberFormat = new Intl.NumberFormat('en-US');
const rounded: Intl.NumberFormat = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 });

/**
 * How many values have gone over the edges of the graph of `start` since they are counted, and how many per second: `1,200 (35.1/s)`. They are
 * counted from the first time that this is asked for, so then it is nothing.
 */
export function ratesOf(start: LiveNode): (from: LiveNode, to: LiveNode) => string | undefined {
  start.countEdges();
  const nowMs = start.clock.monotonic();
  return (from, to) => {
    const edge = from.edgeCounts().get(to);
    if (edge === undefined) return undefined;
    const elapsedMs = nowMs - edge.sinceMs;
    const perSecond = elapsedMs > 0 ? (edge.count / elapsedMs) * 1_000 : 0;
    return `${whole.format(edge.count)} (${rounded.format(perSecond)}/s)`;
  };
}
