import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { Effects } from '../../src/core/effects.ts';
import type { Undo } from '../../src/core/effects.ts';

test('the last change about a thing is found among few and many, whatever was taken back', () => {
  const things = Array.from({ length: 5 }, (_, n) => ({ n }));
  const step = fc.oneof(
    { weight: 20, arbitrary: fc.record({ add: fc.nat(things.length) }) },
    { weight: 10, arbitrary: fc.record({ ask: fc.nat(things.length - 1) }) },
    { weight: 2, arbitrary: fc.constant('mark' as const) },
    { weight: 2, arbitrary: fc.constant('back' as const) },
    { weight: 1, arbitrary: fc.constantFrom('settle' as const, 'rollback' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      const effects = new Effects();
      let model: Undo[] = [];
      let marks: ReturnType<Effects['mark']>[] = [];
      for (const each of steps)
        if (each === 'mark') marks.push(effects.mark());
        else if (each === 'back') {
          const mark = marks.pop();
          if (mark === undefined) continue;
          expect(effects.rollback(mark)).toBe(true);
          model.length = mark.undos;
        } else if (typeof each === 'string') {
          if (each === 'settle') effects.settle();
          else effects.rollback();
          model = [];
          marks = [];
        } else if ('add' in each) {
          // The one behind the last is no thing at all.
          const undo = { subject: things[each.add], undo: () => true };
          effects.add(undo);
          model.push(undo);
        } else {
          const thing = things[each.ask] as object;
          expect(effects.lastOf(thing)).toBe(model.findLast(({ subject }) => subject === thing));
        }
    }),
    { numRuns: 300 },
  );
});
