/** Who may take itself for the leader, as the simulator sees it. */
import { expect, test } from 'vitest';

import { seededRandom } from '../../src/core/random.ts';
import { Machine } from '../../simulation/lib/machine.ts';
import { Reigns } from '../../simulation/lib/reigns.ts';
import { Schedule } from '../../simulation/lib/schedule.ts';

function setting(): { reigns: Reigns; schedule: Schedule; machine: Machine } {
  const schedule = new Schedule(seededRandom(1));
  const machine = new Machine(schedule, 3, 'w3', 1);
  const reigns = new Reigns();
  reigns.began('b/0', 3, 1);
  return { reigns, schedule, machine };
}

test('the owner of the first task leads, and nobody who never was', () => {
  const { reigns, machine } = setting();
  reigns.check(machine);
  reigns.began('a/0', 4, 1);
  expect(() => reigns.check(machine)).toThrow('w3 leads, and never owned a/0');
});

test('who has given it back leads no more, until it is the owner again', () => {
  const { reigns, machine } = setting();
  reigns.ended('b/0', 3, 'given', 10);
  expect(() => reigns.check(machine)).toThrow('w3 leads, and has given b/0 (epoch 1) back');
  reigns.began('b/0', 3, 2);
  reigns.check(machine);
});

test('who has lost it may take a while to notice, from when it is awake', () => {
  const { reigns, schedule, machine } = setting();
  reigns.ended('b/0', 3, 'taken', 10);
  machine.pause();
  schedule.step(60_000);
  machine.wake();
  reigns.check(machine);
  schedule.step(90_000);
  expect(() => reigns.check(machine)).toThrow('w3 leads 30000 ms after b/0 (epoch 1) was taken');
});
