import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { seededRandom, systemRandom } from '../../src/core/random.ts';

describe('seededRandom', () => {
  test('gives the same numbers for the same seed, for ever', () => {
    const random = seededRandom(42);
    const numbers = [random.next(), random.next(), random.next()].map((n) => n.toFixed(8));
    expect(numbers).toEqual(['0.12848330', '0.03353364', '0.07509804']);
    expect(seededRandom(7).name()).toBe(seededRandom(7).name());
    expect(seededRandom(7).name()).not.toBe(seededRandom(8).name());
  });

  test('stays in range and reaches all of it', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, below) => {
        const random = seededRandom(seed);
        for (let i = 0; i < 20; i++) {
          const next = random.next();
          expect(next >= 0 && next < 1).toBe(true);
          const drawn = random.below(below);
          expect(Number.isInteger(drawn) && drawn >= 0 && drawn < below).toBe(true);
        }
      }),
    );
    const random = seededRandom(1);
    expect(new Set(Array.from({ length: 500 }, () => random.below(16))).size).toBe(16);
  });
});

describe('systemRandom', () => {
  test('draws names of hexadecimal digits that do not repeat', () => {
    const random = systemRandom();
    const names = Array.from({ length: 1_000 }, () => random.name());
    expect(names.every((name) => /^[0-9a-f]{12}$/.test(name))).toBe(true);
    expect(new Set(names).size).toBe(1_000);
    expect(random.name(3)).toHaveLength(3);
    expect(random.next()).toBeLessThan(1);
  });
});
