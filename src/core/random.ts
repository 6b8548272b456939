/**
 * Randomness comes in from outside, so that a seed replays a run.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';

/** A source of random numbers. */
export interface Random {
  /** A number in `[0, 1)`, with at least 32 random bits. */
  next(): number;
  /** An integer in `[0, below)`, for an integer `below` of 1 to 2³². */
  below(below: number): number;
  /** A lower-case hexadecimal name of `length` digits. */
  name(length?: number): string;
}

function random(next: () => number): Random {
  const below = (limit: number): number => Math.floor(next() * limit);
  return {
    next,
    below,
    name: (length = 12) => Array.from({ length }, () => below(16).toString(16)).join(''),
  };
}

/** Unpredictable, from the operating system: two processes never draw the same name. */
export function systemRandom(): Random {
  return random(() => randomBytes(6).readUIntBE(0, 6) / 2 ** 48);
}

/**
 * The same numbers for the same seed, on every machine. Not for secrets.
 *
 * @see the counter of Guy Steele et al., "Fast splittable pseudorandom number generators" (2014), in 32 bits, mixed with the
 * constants 21f0aaad and 735a2d97 of Chris Wellons' hash prospector
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return random(() => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    mixed ^= mixed >>> 15;
    return (mixed >>> 0) / 2 ** 32;
  });
}
