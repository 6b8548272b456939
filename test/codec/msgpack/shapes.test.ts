import { describe, expect, test } from 'vitest';

import { Patience } from '../../../src/codec/msgpack/patience.ts';
import { Shapes } from '../../../src/codec/msgpack/shapes.ts';

describe('Shapes', () => {
  test('compiles what is met again and again, once', () => {
    const compiled: string[] = [];
    const shapes = new Shapes((names) => compiled.push(names.join()));
    let answers = 0;
    for (let i = 0; i < 1_000; i++)
      for (const object of [{ a: i, b: 1 }, { b: 1, a: i }, { c: 1 }])
        if (shapes.met(object) !== undefined) answers++;
    expect(compiled.toSorted()).toEqual(['a,b', 'b,a', 'c']);
    expect(answers).toBe(3);
  });

  test('leaves dictionaries alone', () => {
    const shapes = new Shapes(() => expect.unreachable());
    for (let i = 0; i < 10_000; i++) shapes.met({ [`key${i}`]: 1 });
    for (let i = 0; i < 1_000; i++) shapes.met({});
    const wide = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`key${i}`, i]));
    for (let i = 0; i < 1_000; i++) shapes.met(wide);
    for (let i = 0; i < 1_000; i++) shapes.met({ ['x'.repeat(129)]: 1 });
  });

  test('compiles so many and no more', () => {
    let count = 0;
    const shapes = new Shapes(() => ++count);
    for (let kind = 0; kind < 1_000; kind++)
      for (let i = 0; i < 50; i++) shapes.met({ [`key${kind}`]: 1 });
    expect(count).toBe(128);
  });

  test('gives up where code cannot be generated', () => {
    let tries = 0;
    const shapes = new Shapes(() => {
      tries++;
      throw new EvalError('Code generation from strings disallowed for this context');
    });
    for (let i = 0; i < 1_000; i++)
      for (const object of [{ a: 1 }, { b: 1 }]) expect(shapes.met(object)).toBeUndefined();
    expect(tries).toBe(1);
  });
});

test('Patience ends after failures in a row, for a while', () => {
  const patience = new Patience();
  const tried = (succeeded: (i: number) => boolean): number => {
    let count = 0;
    for (let i = 0; i < 1_700; i++)
      if (patience.tries()) {
        count++;
        patience.tell(succeeded(i));
      }
    return count;
  };
  expect(tried(() => true)).toBe(1_700);
  expect(tried((i) => i % 3 === 0)).toBe(1_700);
  expect(tried(() => false)).toBeLessThan(110);
  expect(tried(() => true)).toBeGreaterThan(1_680);
});
