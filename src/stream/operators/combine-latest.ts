/**
 * @module
 */
import { JoinInputs } from '../join-inputs.ts';
import type { MakeOperator } from '../operator.ts';

/**
 * The newest value of each input, as a tuple, whenever one comes: of any input, or of those that are asked for. From when all have been seen.
 *
 * - *Order*: kept. A tuple has the key, time and headers of the value that caused it.
 * - *Back-pressure*: none of its own.
 * - *State*: the newest value of each input, per key of a keyed stream; also of one that has ended. One that is disconnected is left out from then on.
 * - *Delivery*: each value in every tuple until the next one of its input. Where two inputs come from the same value, one tuple follows for each.
 *
 * ```ts
 * import { Stream } from 'millrace';
 *
 * const price = new Stream<number>();
 * const rate = new Stream<number>();
 * const shown = price
 *   .combineLatest(rate)
 *   .starmap((euros, perEuro) => euros * perEuro)
 *   .toArray();
 * await price.emit(10); // no rate yet
 * await rate.emit(2);
 * await rate.emit(3);
 * await Promise.all([price.close(), rate.close()]);
 * await shown; // => [20, 30]
 * ```
 *
 * @param emitOn Numbers of the inputs whose values cause tuples; default all, also those that are connected later.
 */
export function combineLatest(inputs: number, emitOn: readonly number[] | undefined): MakeOperator {
  return (output, scope) => {
    // By slot: what was seen, and the newest value. A new row each time: a value that fails may put the one before it back.
    const state = scope.state((): readonly (readonly [unknown] | null)[] => []);
    const joined = new JoinInputs(inputs, ({ slot }) => {
      const causes = emitOn === undefined || emitOn.includes(slot);
      return (value, event) => {
        const row = state.get(event).slice();
        while (row.length < slot) row.push(null);
        row[slot] = [value];
        state.set(event, row);
        if (!causes) return;
        const tuple: unknown[] = [];
        for (const input of joined.list) {
          const seen = row[input.slot];
          if (seen === undefined || seen === null) return;
          tuple.push(seen[0]);
        }
        return output.next(tuple, event);
      };
    });
    return {
      inputs: joined.receivers,
      addInput: () => joined.add().receive,
      removeInput: (input) => void joined.remove(input),
    };
  };
}
