/** Progress, in virtual time. */
import { expect, test } from 'vitest';

import { Progress } from '../../src/cli/progress.ts';
import { VirtualClock } from '../../src/index.ts';
import { TestTerminal } from './support.ts';

test('nothing for two seconds, then a line five times a second at most, then nothing is left', async () => {
  const clock = new VirtualClock();
  const terminal = new TestTerminal({ clock, watched: true });
  const progress = new Progress(terminal, 'reading orders');
  await clock.advance(1_999);
  progress.at(10, 100);
  expect(terminal.stderr).toBe('');
  await clock.advance(1);
  progress.at(25, 1_000);
  progress.at(26, 1_000);
  await clock.advance(199);
  progress.at(30, 1_000);
  expect(terminal.stderr).toBe('\r\u001b[Kreading orders: 2 % of 1,000 records, 2 s');
  await clock.advance(1_001);
  progress.at(5_000, undefined);
  expect(terminal.stderr).toMatch(/reading orders: 5,000 records, 3 s$/u);
  progress.end();
  progress.end();
  expect(terminal.stderr.endsWith('3 s\r\u001b[K')).toBe(true);
});

test('nobody watches: nothing', async () => {
  const clock = new VirtualClock();
  const terminal = new TestTerminal({ clock });
  const progress = new Progress(terminal, 'reading');
  await clock.advance(10_000);
  progress.at(1, 2);
  progress.end();
  expect(terminal.stderr).toBe('');
});
