/**
 * One part of a case in a process of its own: `node case.ts <case> <part> <directory> <options as JSON>`; prints its figures as JSON.
 *
 * @module
 */
import type { Case, PartOptions } from './lib/stage.ts';

const [name = '', part = '', directory = '', options = '{}'] = process.argv.slice(2);

// Only the case at hand is loaded, or the memory of all others would be counted.
const module = (await import(`./cases/${name}.ts`)) as { readonly default: Case };
const run = module.default.parts[part];
if (run === undefined) throw new Error(`case ${name} has no part ${part}`);
const figures = await run(directory, JSON.parse(options) as PartOptions);
console.log(JSON.stringify(figures));
process.exit(0);
