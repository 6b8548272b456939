/** What a snapshot brings along: times, which go on from the moment when it is restored, on whatever clock; and groups, which must fit. */
import { expect, test } from 'vitest';
import { VirtualClock } from '../../../src/core/clock.ts';
import { Stream } from '../../../src/stream/stream.ts';
import { codeOf, into } from '../helpers.ts';

test('throttle passes values again on a clock that has begun anew', async () => {
  const declare = (clock: VirtualClock): { source: Stream<number>; out: number[] } => {
    const source = new Stream<number>({ clock });
    return { source, out: into(source.throttle('1s')) };
  };
  const day = new VirtualClock();
  await day.advance(86_400_000);
  const before = declare(day);
  await before.source.emit(1);

  const clock = new VirtualClock();
  const { source, out } = declare(clock);
  source.restore(before.source.snapshot());
  for (const x of [2, 3]) await source.emit(x);
  await clock.advance(1_000);
  await source.emit(4);
  expect(out).toEqual([2, 4]);
});

test('groups that would be full already are refused, and nothing changes', () => {
  const large = new Stream<number>();
  into(large.partition(10));
  for (let i = 0; i < 8; i++) void large.emit(i);
  const small = new Stream<number>();
  const out = into(small.partition(3));
  void small.emit(1);
  expect(codeOf(() => small.restore(large.snapshot()))).toBe('MR_SNAPSHOT_INVALID');
  for (const x of [2, 3]) void small.emit(x);
  expect(out).toEqual([[1, 2, 3]]);
});
