export { logTables } from './format.ts';
export { openLog } from './log.ts';
