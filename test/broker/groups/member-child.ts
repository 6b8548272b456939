/**
 * A member of group `g` over tasks `t/0` to `t/3`, in a process of its own: `member-child.ts <directory> <leaseMs>`.
 *
 * Tends, gives back, commits each of its tasks in turn, and says so, one line each: `owns <tasks>`, `committed`, `fenced`, `lost <tasks>`. Answers
 * questions with its process id; asked to `freeze`, it stops itself, at a moment when it does not hold the store's lock.
 */
import { writeSync } from 'node:fs';

import { openBroker } from '../../../src/broker/open.ts';
import { MillraceError } from '../../../src/core/errors.ts';
import { realContext } from '../log-over.ts';

const [directory = '', leaseMs = ''] = process.argv.slice(2);
let freeze = false;
const say = (line: string): void => void writeSync(1, `${line}\n`);
const broker = await openBroker(`file:${directory}`, realContext());
const member = await broker.join('g', {
  tasks: [0, 1, 2, 3].map((i) => ({ id: `t/${i}` })),
  topology: '',
  leaseMs: Number(leaseMs),
  answer: (_, question) => {
    freeze = Buffer.from(question).toString() === 'freeze';
    return Buffer.from(String(process.pid));
  },
});
const { clock } = realContext();
for (;;) {
  if (freeze) {
    freeze = false;
    process.kill(process.pid, 'SIGSTOP');
  }
  for (const { id, epoch } of member.tasks)
    try {
      await member.commit({ task: id, epoch, positions: [], meta: new Uint8Array(), outputs: [] });
      say('committed');
    } catch (error) {
      if (!MillraceError.is(error) || error.code !== 'MR_FENCED') throw error;
      say('fenced');
    }
  const since = broker.changes();
  const { gained, revoked, lost } = await member.tend();
  await member.release(revoked);
  if (lost.length > 0) say(`lost ${lost.toSorted().join(' ')}`);
  if (gained.length + revoked.length + lost.length > 0)
    say(
      `owns ${member.tasks
        .map(({ id }) => id)
        .toSorted()
        .join(' ')}`,
    );
  await broker.changed(since, Math.min(100, Math.max(1, member.tendAt - clock.monotonic())));
}
