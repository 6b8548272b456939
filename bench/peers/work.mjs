/**
 * What every peer does with the same numbers. A row is one kind of pipeline; each leaves the same checksum.
 *
 * @module
 */

/** The rows of the table, by name. */
export const ROWS = ['sync', 'awaited', 'sliding', 'partition', 'fork', 'iterate'];

export const increment = (x) => x + 1;
export const isEven = (x) => x % 2 === 0;
export const add = (a, b) => a + b;
export const plusTwo = (x) => x + 2;
export const plusThree = (x) => x + 3;

/** Adds an array up. */
export function total(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

let checksum = 0;

/** The sink of all rows but one. */
export const keep = (x) => {
  checksum += x;
};

/** The sink that has to be awaited. */
export const keepLater = async (x) => {
  checksum += x;
};

export function takeChecksum() {
  const sum = checksum;
  checksum = 0;
  return sum;
}
