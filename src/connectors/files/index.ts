/**
 * `millrace/files`: lines of files and names of files as sources, and files as a sink.
 *
 * @module
 */
export { filenames } from './filenames.ts';
export type { FilenamesOptions } from './filenames.ts';
export { textFile } from './text-file.ts';
export type { TextFileOptions } from './text-file.ts';
export { textFileSink } from './text-file-sink.ts';
export type { RotateOptions, TextFileSinkOptions } from './text-file-sink.ts';
export type { Encode } from '../encode.ts';
export type { ConnectorOptions } from '../options.ts';
export type { SinkFunction } from '../sink-function.ts';
