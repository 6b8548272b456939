/** One target under mangled inputs: what it let through, what it refused, and what it should never have done. */
import { MillraceError } from '../../src/core/errors.ts';
import { seededRandom } from '../../src/core/random.ts';
import { mangle } from './mangle.ts';

/** Something that reads bytes which others have written. */
export interface Target {
  readonly name: string;
  /** Valid inputs; among others if `mixed`. */
  readonly mixed?: true | undefined;
  readonly corpus: readonly Uint8Array[];
  /** Reads the input as millrace would. Throws what it refuses it with; {@link Bogus} where it let through what it must not. */
  run(input: Buffer): void;
  /** Makes checksums right again, as an attacker would. Left out: there are none. */
  readonly reseal?: ((input: Buffer) => Buffer) | undefined;
  /** Errors that count as typed besides those of millrace. */
  readonly typed?: ((error: unknown) => boolean) | undefined;
}

/** A target accepted what nobody has written, or gave a wrong answer. */
export class Bogus extends Error {}

/** A failure, with the input that shows it. */
export interface Failure {
  readonly seed: number;
  readonly input: Buffer;
  readonly error: unknown;
}

/** What became of the inputs. */
export interface Outcome {
  readonly accepted: number;
  readonly refused: number;
  /** At most {@link MAX_FAILURES}. */
  readonly failures: readonly Failure[];
}

const MAX_FAILURES = 5;

/** The input of a seed. Half of those that have a checksum get a right one. */
export function inputOf(target: Target, seed: number): Buffer {
  const random = seededRandom(seed);
  const input = mangle(random, target.corpus);
  return target.reseal !== undefined && random.below(2) === 0 ? target.reseal(input) : input;
}

/** Runs seeds from `first` on. `each` hears how every input began and ended. */
export function attack(
  target: Target,
  first: number,
  count: number,
  each?: { begin(): void; end(seed: number): void },
): Outcome {
  let accepted = 0;
  let refused = 0;
  const failures: Failure[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const input = inputOf(target, seed);
    each?.begin();
    try {
      target.run(input);
      accepted++;
    } catch (error) {
      refused++;
      if (!isTyped(target, error) && failures.length < MAX_FAILURES)
        failures.push({ seed, input, error });
    }
    each?.end(seed);
  }
  return { accepted, refused, failures };
}

function isTyped(target: Target, error: unknown): boolean {
  // Internal: a promise that millrace has made to itself was broken.
  if (MillraceError.is(error)) return error.domain !== 'internal';
  return target.typed?.(error) === true;
}

/** What `Object.prototype` and its like hold; to be the same before and after. */
export function prototypes(): string {
  return [Object, Array, Map, Set, Date, Function, String, Number, Uint8Array]
    .map(({ name, prototype }) => `${name}: ${Reflect.ownKeys(prototype).map(String).join(' ')}`)
    .join('\n');
}
