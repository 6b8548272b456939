import { describe, expect, test } from 'vitest';
import { draw, marksOf, perform, scriptOf, withPictures } from '../../scripts/lib/marbles.ts';
import type { Row, Slow } from '../../scripts/lib/marbles.ts';
import type { Stream } from '../../src/stream/stream.ts';

const row = (label: string, ...values: [number, unknown][]): Row => ({
  label,
  beganMs: 0,
  values: values.map(([atMs, value]) => ({ atMs, value })),
});

describe('draw', () => {
  test('a column for each step, as wide as what is in it', () => {
    const rows = [
      row('source', [0, 1], [10, 2], [20, 3]),
      row('pairs', [10, [1, 2]], [20, [2, 3]]),
    ];
    expect(draw(rows, 10, 3)).toBe('source  1-2-----3-----\npairs   --[1,2]-[2,3]-');
  });

  test('several values in one step, and the end', () => {
    const ends: Row = { ...row('b', [0, 'x'], [3, 'y'], [15, { n: null }]), endedMs: 19 };
    expect(draw([row('a', [0, 1]), ends], 10, 3)).toBe('a  1---------------\nb  x-y-{n:null}|');
  });

  test('the time above', () => {
    expect(draw([row('a', [100, 1])], 50, 3, 'ms')).toBe('ms  0 50 100\na   -----1---');
    expect(draw([row('a', [1_000, 1])], 1_000, 2, 's')).toBe('s  0 1\na  --1-');
  });

  test('a stream that comes later begins later', () => {
    expect(draw([row('a'), { ...row('b', [1, 1]), beganMs: 1 }], 1, 3)).toBe(
      'a  ------\nb    1---',
    );
  });
});

describe('perform', () => {
  const run = async (
    marbles: Record<string, string>,
    operator: (...given: never[]) => unknown,
    steps: number,
  ): Promise<string> =>
    draw(await perform(scriptOf(marbles, 1_000), operator, 'out', steps * 1_000 - 1), 1_000, steps);

  test('what has happened, on a clock that costs no time', async () => {
    expect(await run({ a: '12-|' }, (a: Stream) => a.delay('2s'), 5)).toBe(
      'a    1-2---|\nout  ----1-2|',
    );
  });

  test('streams as values, and those that come out', async () => {
    const switched = await run({ o: 'x|', x: '-1|' }, (o: Stream<Stream>) => o.switch(), 3);
    expect(switched).toBe('o    x-|\nx    --1-|\nout  --1-|');
    const split = await run({ o: '1|' }, (o: Stream<number>) => o.split(() => 'k'), 2);
    expect(split).toBe('o    1-----|\nout  [k,k]-|\n  k  1-----|');
  });

  test('several streams out of one, and a slow function', async () => {
    const both = (a: Stream, slow: Slow): unknown => ({
      fast: a.map((x) => x),
      slow: a.map(slow),
    });
    expect(await run({ a: '1---|' }, both, 5)).toBe(
      'a     1-------|\nfast  1-------|\nslow  ------1-|',
    );
  });

  test('what fails is a mistake of the picture', async () => {
    const throwing = (a: Stream): unknown =>
      a.map(() => {
        throw new Error('no');
      });
    await expect(run({ a: '1|' }, throwing, 2)).rejects.toThrow('no');
  });
});

describe('pages', () => {
  const page = 'text\n\n<!-- marbles: a b -->\nold\n<!-- /marbles -->\n\nmore';

  test('a picture stands between its marks', () => {
    const drawn = withPictures(page, new Map([['a b', 'a  1-|']]));
    expect(drawn).toBe(
      'text\n\n<!-- marbles: a b -->\n\n```text\na  1-|\n```\n\n<!-- /marbles -->\n\nmore',
    );
    expect(withPictures(drawn, new Map([['a b', 'a  1-|']]))).toBe(drawn);
    expect(marksOf(page)).toEqual(['a b']);
  });

  test('a mark without a picture', () => {
    expect(() => withPictures(page, new Map())).toThrow('there is no picture a b');
  });
});
