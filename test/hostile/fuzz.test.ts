/** Mangled inputs, few of each kind; `npm run fuzz` tries a million of each and measures what they cost. */
import { describe, expect, test } from 'vitest';

import { SLOW } from '../cli/support.ts';
import { attack, prototypes } from './attack.ts';
import { targets } from './targets.ts';

const INPUTS = 1_500;
const SEED = 20_261_121;

describe('mangled inputs are refused with an error of millrace, or are values', () => {
  test.each(targets.map((target) => [target.name, target] as const))(
    '%s',
    { timeout: SLOW },
    (_, target) => {
      const before = prototypes();
      const { failures, accepted, refused } = attack(target, SEED, INPUTS);
      expect(
        failures.map(({ seed, error }) => `seed ${seed}: ${String(error)}`),
        'failures',
      ).toEqual([]);
      expect(accepted + refused).toBe(INPUTS);
      expect(prototypes()).toBe(before);
      expect('polluted' in {}).toBe(false);
    },
  );

  test.each(
    targets.filter(({ mixed }) => mixed !== true).map((target) => [target.name, target] as const),
  )('%s: what was written is taken', (_, target) => {
    for (const input of target.corpus) target.run(Buffer.from(input));
  });
});
