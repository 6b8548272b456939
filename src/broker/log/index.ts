export { Findings } from './findings.ts';
export { logTables, readFormat } from './format.ts';
export { openLog } from './log.ts';
export { readTopics } from './topics.ts';
export { verifyLog } from './verify.ts';
