/**
 * Shapes: which names stand together in objects, in which order. One that comes back again and again gets a function of its
 * own, compiled for just these names.
 *
 * Compiling costs about as much as a thousand objects, so it is done for few: a sample of the objects is looked at, and a shape
 * must be seen several times. Objects that are dictionaries have a new shape each; the limits keep them from costing much.
 *
 * @module
 */

/** One in so many objects is looked at. A prime, so that kinds of objects that take turns all get theirs. */
const SAMPLE = 7;
/** How often a shape is seen before it is compiled. */
const ENOUGH = 3;
/** Shapes that are counted at a time. */
const MAX_COUNTED = 512;
/** Functions that are compiled in all. */
const MAX_COMPILED = 128;
/** Wider objects are dictionaries. */
const MAX_NAMES = 64;
/** Longest name, in UTF-16 units. */
const MAX_NAME = 128;

/** Counts shapes and compiles the frequent ones. */
export class Shapes<Compiled> {
  readonly #compile: (names: readonly string[]) => Compiled;
  /** How often each was seen; 0: it has been compiled. */
  readonly #counts = new Map<string, number>();
  #turn = 0;
  #left = MAX_COMPILED;

  /** `compile` makes a function for names: at least one, none odd, none doubled. It may throw where code cannot be generated. */
  constructor(compile: (names: readonly string[]) => Compiled) {
    this.#compile = compile;
  }

  /** Tells of an object for which there is no function yet. Answers with one when the time has come, once for each shape. */
  met(object: object): Compiled | undefined {
    this.#turn++;
    if (this.#turn < SAMPLE || this.#left === 0) return undefined;
    this.#turn = 0;
    const names = Object.keys(object);
    const { length } = names;
    if (length === 0 || length > MAX_NAMES || names.some((name) => name.length > MAX_NAME))
      return undefined;
    return this.#count(names);
  }

  #count(names: readonly string[]): Compiled | undefined {
    const shape = JSON.stringify(names);
    const count = this.#counts.get(shape);
    if (count === 0) return undefined;
    if (count === undefined || count < ENOUGH - 1) {
      if (this.#counts.size >= MAX_COUNTED) this.#forget();
      this.#counts.set(shape, (count ?? 0) + 1);
      return undefined;
    }
    this.#counts.set(shape, 0);
    this.#left--;
    try {
      return this.#compile(names);
    } catch {
      // Some environments forbid code from text. Objects are handled name by name then.
      this.#left = 0;
      return undefined;
    }
  }

  /** Starts counting anew; what has been compiled is remembered. */
  #forget(): void {
    for (const [shape, count] of this.#counts) if (count > 0) this.#counts.delete(shape);
  }
}
