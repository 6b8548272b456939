export { FORMAT_VERSION, logTables } from './format.ts';
export { openLog, type LogOptions } from './log.ts';
