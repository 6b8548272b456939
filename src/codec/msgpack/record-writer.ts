/**
 * Functions that write objects of one shape, compiled for it: packed names are constants, and members are read by name, which
 * the engine does with one load each.
 *
 * @module
 */
import { packedText } from './plain.ts';

/** What a compiled function needs of its writer. */
export interface RecordTarget {
  readonly bytes: Buffer;
  /** Where the next value is written, and the end of the room for it. */
  at: number;
  readonly end: number;
  /** Writes `value` at `at` and moves behind it. False: it cannot, and `at` means nothing. */
  value(value: unknown): boolean;
  /** Tells that there is no room. Answers with false. */
  full(): boolean;
}

/** Writes an object; `undefined` for an object of another shape, of which nothing is written then. */
export type WriteRecord = (
  target: RecordTarget,
  object: Readonly<Record<string, unknown>>,
) => boolean | undefined;

/** A {@link WriteRecord} for objects with `names` in this order, 1 to 65,535 of them. @throws EvalError where code cannot be generated. */
export function compileWriter(names: readonly string[]): WriteRecord {
  const count = names.length;
  const head = count < 0x10 ? [0x80 | count] : [0xde, count >>> 8, count & 0xff];
  let code = '';
  for (const [i, name] of names.entries()) {
    const constant = [...(i === 0 ? head : []), ...packedText(name)];
    // Names are data: they enter the code as numbers, and as string literals, where JSON is JavaScript.
    code += `
  if (target.end - at < ${constant.length + 3}) return target.full();
  ${constant.map((byte, j) => `bytes[at + ${j}] = ${byte};`).join(' ')}
  at += ${constant.length};
  value = object[${JSON.stringify(name)}];
  if (typeof value === 'number' && value >>> 0 === value && value < 0x10000) {
    if (value < 0x80) { bytes[at] = value; at++; }
    else if (value < 0x100) { bytes[at] = 0xcc; bytes[at + 1] = value; at += 2; }
    else { bytes[at] = 0xcd; bytes[at + 1] = value >> 8; bytes[at + 2] = value; at += 3; }
  } else { target.at = at; if (!target.value(value)) return false; at = target.at; }`;
  }
  // oxlint-disable-next-line typescript/no-implied-eval -- made of the names alone, as said above
  const make = new Function(
    'names',
    `return function writeRecord(target, object) {
  let i = 0;
  for (const name in object) if (i === ${count} || name !== names[i++]) return undefined;
  if (i !== ${count}) return undefined;
  const bytes = target.bytes;
  let at = target.at;
  let value;${code}
  target.at = at;
  return true;
}`,
  ) as (names: readonly string[]) => WriteRecord;
  return make(names);
}
