/**
 * Makes a directory with everything that belongs to it, a backup, and a compacted file, under the umask 000, and prints the modes of all of it
 * as JSON, by path.
 *
 * Run: `modes-child.ts <parent>`.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';

import { backupDirectory, compactDirectory } from '../../src/broker/backup.ts';
import { openBroker } from '../../src/broker/open.ts';
import { frameOf, realContext } from './log-over.ts';

process.umask(0);
const [parent = ''] = process.argv.slice(2);
const url = `file:${join(parent, 'above', 'data')}`;
const modes: Record<string, string> = {};

const broker = await openBroker(url, realContext());
await broker.createTopic({ name: 't', partitions: 1, codec: 'utf8', role: 'source' });
await broker.append([{ topic: 't', partition: 0, frame: frameOf('a') }]);
await broker.changed(broker.changes(), 20);
await backupDirectory(url, join(parent, 'copy'), realContext());
look(parent);
await broker.close();
await compactDirectory(url);
look(parent);
process.stdout.write(JSON.stringify(modes));

function look(directory: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    const stats = lstatSync(path);
    if (stats.isSocket()) modes[relative(parent, join(directory, '*'))] = 'socket';
    else modes[relative(parent, path)] = (stats.mode & 0o777).toString(8);
    if (stats.isDirectory()) look(path);
  }
}
