/**
 * Members that join and leave all the time: nothing is lost or doubled, and the group gets on. `MILLRACE_SEED` replays the choices,
 * `MILLRACE_STORM_SECONDS` is how long, one join or leave a second.
 */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { withDirectory } from '../broker/log-over.ts';
import { Crew, monotonic, pause } from './crew.ts';
import type { Hand } from './crew.ts';
import { expectExact } from './orders-answer.ts';

const seed = Number(process.env['MILLRACE_SEED'] ?? randomInt(2 ** 31));
const seconds = Number(process.env['MILLRACE_STORM_SECONDS'] ?? 20);
const STEADY_SECONDS = 5;
const MOST = 4;
const MEMBERS = 2;

test(`a member joins or leaves every second, for ${seconds} s`, async () => {
  const random = seededRandom(seed);
  await withDirectory(async (directory) => {
    const crew = new Crew(directory, { seed, lead: 60_000 });
    try {
      const loader = crew.hire('load');
      let committed = 0;
      let moved = 0;
      crew.listen((_, [word, , events]) => {
        if (word === 'commit') committed += Number(events);
        else if (word === 'gained') moved++;
      });
      const rate = async (during: () => Promise<void>): Promise<number> => {
        const before = { committed, at: monotonic() };
        await during();
        return ((committed - before.committed) / (monotonic() - before.at)) * 1_000;
      };
      // Processes that are there already: what is measured is the group, not the start of Node.
      const out = Array.from({ length: MOST }, () => crew.hire('work'));
      await Promise.all(out.map((hand) => hand.said('ready')));
      const members: Hand[] = [];
      const join = async (): Promise<void> => {
        const hand = out.shift() as Hand;
        const running = hand.says('running');
        hand.tell('start');
        await running;
        members.push(hand);
      };
      const leave = async (): Promise<void> => {
        const [hand] = members.splice(random.below(members.length), 1) as [Hand];
        const stopped = hand.says('stopped');
        hand.tell('stop');
        await stopped;
        out.push(hand);
      };
      for (let i = 0; i < MEMBERS; i++) await join();
      await Promise.all(members.map((hand) => hand.says('commit')));
      const steady = await rate(() => pause(STEADY_SECONDS * 1_000));

      let changes = 0;
      const storm = await rate(async () => {
        const until = monotonic() + seconds * 1_000;
        while (monotonic() < until) {
          const next = monotonic() + 1_000;
          const joins = members.length === 1 || (members.length < MOST && random.below(2) === 0);
          await (joins ? join() : leave());
          changes++;
          await pause(Math.max(0, next - monotonic()));
        }
      });
      loader.tell({ finish: 0 });
      const [, count] = await loader.says('loaded');
      for (const hand of [...members, ...out]) {
        await hand.end();
        expect(hand.stderr).toBe('');
      }
      await expectExact(directory, seed, Number(count));
      process.stdout.write(
        `group-storm: seed ${seed}, ${changes} joins and leaves in ${seconds} s, ${moved} tasks moved, ${count} orders; ${storm.toFixed(0)} events/s, ${((storm / steady) * 100).toFixed(0)} % of the ${steady.toFixed(0)} of ${MEMBERS} members undisturbed\n`,
      );
      for (const [warning, times] of crew.warnings)
        process.stdout.write(`group-storm: ${times} × ${warning}\n`);
    } finally {
      await crew.dismiss();
    }
  });
});
