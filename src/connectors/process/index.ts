/**
 * `millrace/process`: the output of a program as a source.
 *
 * @module
 */
export { fromProcess } from './from-process.ts';
export type { FromProcessOptions, TextProcessOptions } from './from-process.ts';
export type { ConnectorOptions } from '../options.ts';
