/**
 * For tests of apps and of drivers: time that a test advances, chance that a seed replays, and the suites that every implementation
 * of a contract passes.
 *
 * @module
 */
export { VirtualClock } from '../core/clock.ts';
export { seededRandom } from '../core/random.ts';
export { brokerConformance } from './conformance/broker.ts';
export { kvConformance } from './conformance/kv.ts';
