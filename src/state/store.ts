/**
 * Stores: the rows of one table, or of one stateful operator, in one task. Each kind has a file of its own.
 *
 * @module
 */
export { KeyedStore } from './keyed-store.ts';
export { WindowStore } from './window-store.ts';
