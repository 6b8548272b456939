/** What an attacker, a bad disk or another program may hand to a parser: noise, and valid inputs with something wrong in them. */
import type { Random } from '../../src/core/random.ts';

/** Numbers that lengths, counts and offsets go wrong at. */
const EDGES: readonly number[] = [
  0, 1, 2, 0x1f, 0x20, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0x7fff_ffff,
  0x8000_0000, 0xffff_fffe, 0xffff_ffff,
];
/** One input in so many is a deep or long one, which costs a thousand others. */
const RARELY = 1_000;
const DEEP = 100_000;
/** Bytes that open something in one of the formats. */
const OPENERS: readonly number[][] = [
  [0x5b], // [
  [0x7b, 0x22, 0x61, 0x22, 0x3a], // {"a":
  [0x91],
  [0x81, 0xa1, 0x61],
  [0xdd, 0, 0, 0, 1],
  [0xd4, 77, 0],
  [0xd4, 0x73, 0],
  [0x29], // )
  [0x2f], // /
  [0x2d],
  [0x30],
  [0x20],
];

/** A mangled input. The bytes are the caller's. */
export function mangle(random: Random, corpus: readonly Uint8Array[]): Buffer {
  if (random.below(RARELY) === 0) return deep(random);
  if (corpus.length === 0 || random.below(8) === 0) return noise(random, 1 + random.below(300));
  let bytes = Buffer.from(pick(random, corpus));
  for (let n = 1 + random.below(3); n > 0; n--) bytes = step(random, bytes, corpus);
  return bytes;
}

function step(
  random: Random,
  bytes: Buffer<ArrayBuffer>,
  corpus: readonly Uint8Array[],
): Buffer<ArrayBuffer> {
  const at = bytes.length === 0 ? 0 : random.below(bytes.length);
  switch (random.below(9)) {
    case 0:
      flip(random, bytes, 1);
      return bytes;
    case 1:
      flip(random, bytes, 1 + random.below(16));
      return bytes;
    case 2:
      return bytes.subarray(0, at);
    case 3:
      return bytes.subarray(at);
    case 4: {
      const other = pick(random, corpus);
      const from = other.length === 0 ? 0 : random.below(other.length);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(from)]);
    }
    case 5: {
      const end = Math.min(bytes.length, at + 1 + random.below(40));
      return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
    }
    case 6:
      return Buffer.concat([
        bytes.subarray(0, at),
        bytes.subarray(Math.min(bytes.length, at + 1 + random.below(40))),
      ]);
    case 7:
      return Buffer.concat([bytes.subarray(0, at), noise(random, 1 + random.below(20))]);
    default:
      edge(random, bytes, at);
      return bytes;
  }
}

/** Writes a number that lengths go wrong at, in some size and order. */
function edge(random: Random, bytes: Buffer, at: number): void {
  const value = pick(random, EDGES);
  const left = bytes.length - at;
  const kind = random.below(5);
  if (kind === 0 && left >= 4) bytes.writeUInt32LE(value, at);
  else if (kind === 1 && left >= 4) bytes.writeUInt32BE(value, at);
  else if (kind === 2 && left >= 2) bytes.writeUInt16LE(value & 0xffff, at);
  else if (kind === 3 && left >= 2) bytes.writeUInt16BE(value & 0xffff, at);
  else if (left >= 1) bytes[at] = value;
}

function flip(random: Random, bytes: Buffer, bits: number): void {
  if (bytes.length === 0) return;
  for (let i = 0; i < bits; i++) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
  }
}

function noise(random: Random, length: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = random.below(256);
  return bytes;
}

function deep(random: Random): Buffer {
  if (random.below(4) === 0) return wide(random);
  const opener = Buffer.from(pick(random, OPENERS));
  const bytes = Buffer.alloc(Math.min(DEEP * opener.length, 2 * DEEP), opener);
  return random.below(2) === 0 ? bytes : Buffer.concat([bytes, noise(random, 4)]);
}

/** An object with very many members, as JSON or as MessagePack. */
function wide(random: Random): Buffer {
  const names = Array.from({ length: 10_000 }, (_, i) => `name${i}`);
  if (random.below(2) === 0) return Buffer.from(`{"wide":{"${names.join('":1,"')}":1}}`);
  const members = names.map((name) =>
    Buffer.concat([Buffer.of(0xa0 + name.length), Buffer.from(name), Buffer.of(1)]),
  );
  return Buffer.concat([Buffer.of(0xde, names.length >> 8, names.length & 0xff), ...members]);
}

function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)] as T;
}
