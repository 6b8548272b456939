/**
 * Functions that read objects of one shape, compiled for it: names are compared four bytes at a time with constants, the usual
 * numbers are read in place, and the object is one literal, so that all objects of a shape have one hidden class.
 *
 * @module
 */
import { NOT_PLAIN, packedText } from './plain.ts';

/** What a compiled function needs of its reader. */
export interface RecordSource {
  /** Where the next value begins. */
  at: number;
  /** The value at `at`, which moves behind it, or {@link NOT_PLAIN}. */
  value(): unknown;
}

/**
 * Reads the `count` members of an object, the first name at `at`; leaves {@link RecordSource.at} behind the last. `undefined` for an
 * object of another shape: `at` tells how far it has come then. {@link NOT_PLAIN} as from the reader.
 *
 * `view` and `bytes` are the same memory, `end` is where the message ends. Fixed-length values may be read beyond `end`.
 */
export type ReadRecord = (
  source: RecordSource,
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
  count: number,
) => object | typeof NOT_PLAIN | undefined;

/** A {@link ReadRecord} for objects with `names` in this order. @throws EvalError where code cannot be generated. */
export function compileReader(names: readonly string[]): ReadRecord {
  const packed = names.map((name) => packedText(name));
  // Each value has at least one byte.
  let least = packed.reduce((sum, name) => sum + name.length + 1, 0);
  let code = '';
  for (const [i, name] of packed.entries()) {
    code += `
  if (end - at < ${least} || ${differs(name)}) { source.at = at; return undefined; }
  at += ${name.length};
  let v${i};
  t = bytes[at];
  if (t < 0x80) { v${i} = t; at++; }
  else if (t >= 0xe0) { v${i} = t - 0x100; at++; }
  else if (t === 0xcd) { v${i} = view.getUint16(at + 1); at += 3; }
  else if (t === 0xcb) { v${i} = view.getFloat64(at + 1); at += 9; }
  else { source.at = at; v${i} = source.value(); if (v${i} === no) return no; at = source.at; }`;
    least -= name.length + 1;
  }
  // Names are data: they enter the code as numbers, and here as string literals, where JSON is JavaScript.
  const members = names.map((name, i) => `${JSON.stringify(name)}: v${i}`);
  // oxlint-disable-next-line typescript/no-implied-eval -- made of the names alone, as said above
  const make = new Function(
    'no',
    `return function readRecord(source, bytes, view, at, end, count) {
  if (count !== ${names.length}) { source.at = at; return undefined; }
  let t;${code}
  source.at = at;
  return { ${members.join(', ')} };
}`,
  ) as (no: typeof NOT_PLAIN) => ReadRecord;
  return make(NOT_PLAIN);
}

/** The condition that the bytes at `at` are not `name`. The last word overlaps the one before where bytes are left over. */
function differs(name: Buffer): string {
  const tests: string[] = [];
  if (name.length < 4)
    for (const [i, byte] of name.entries()) tests.push(`bytes[at + ${i}] !== ${byte}`);
  else
    for (let i = 0; i < name.length; i += 4) {
      const from = Math.min(i, name.length - 4);
      tests.push(`view.getInt32(at + ${from}) !== ${name.readInt32BE(from)}`);
    }
  return tests.join(' || ');
}
