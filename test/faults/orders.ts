/** Orders for fault tests: made from a seed and a number, so that every process can make any of them, in whatever order. */

/** One order. */
export interface Order {
  /** 0, 1, 2, … in the order in which they are sent. */
  readonly n: number;
  /** Event time, milliseconds since 1970. */
  readonly at: number;
  readonly user: string;
  readonly shop: string;
  readonly cents: number;
}

/** Event time of order 0, and from one to the next. */
const FIRST_AT = Date.UTC(2026, 0, 1);
const STEP_MS = 20;

/** An order is at most so much older than one that was sent before it. The windows have a longer grace. */
const DISORDER_MS = 15_000;

const USERS = 500;
const SHOPS = 40;

/** Order `n`. A few users and shops have most of them, so that partitions get unequal shares. */
export function orderAt(seed: number, n: number): Order {
  const part = (salt: number): number => hash(seed, n * 4 + salt) / 2 ** 32;
  return {
    n,
    at: FIRST_AT + n * STEP_MS - Math.floor(part(0) * DISORDER_MS),
    user: `user-${Math.floor(USERS * part(1) ** 2)}`,
    shop: `shop-${Math.floor(SHOPS * part(2) ** 3)}`,
    cents: Math.floor(part(3) * 10_000),
  };
}

/** A number from 0 to 2^32 - 1 of two: the last steps of MurmurHash3, twice. */
function hash(seed: number, n: number): number {
  return mix(mix(n ^ 0x9e3779b9) ^ seed);
}

function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
